"""The same run on Ray: the same bytes. A local Ray is started and stopped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from poolwright import api
from poolwright.core.errors import PoolwrightError
from tests.run.pools import final_files, make_recipe, make_rows, recipe_data, write_pool

ON_RAY = """
import sys
import ray
from poolwright import api
from poolwright.core.errors import PoolwrightError
from poolwright.core.runtime.quiet import silence

silence()
ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
try:
    for recipe, folder in zip(sys.argv[1::2], sys.argv[2::2]):
        try:
            api.run(recipe, folder, engine="ray")
        except PoolwrightError as error:
            print(f"{type(error).__name__}: {error}")
finally:
    ray.shutdown()
"""


def run_on_ray(jobs: list[tuple[Path, Path]]) -> str:
    """Run (recipe, run folder) pairs in one process with a Ray of its own; returns the errors it printed."""
    arguments = [str(path) for job in jobs for path in job]
    result = subprocess.run([sys.executable, "-c", ON_RAY, *arguments], capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.ray
@pytest.mark.slow
def test_ray_gives_the_bytes_and_the_errors_of_the_native_engine(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(40_000), parts=8, row_group=2500)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe_data(), sort_keys=False))
    broken = tmp_path / "broken"
    write_pool(broken, make_rows(4000), parts=4)
    path = broken / "rows" / "002.parquet"
    path.write_bytes(path.read_bytes()[:-500])
    (broken / "recipe.yaml").write_text(yaml.safe_dump(recipe_data(), sort_keys=False))
    said = run_on_ray([(folder / "recipe.yaml", folder / "ray") for folder in (tmp_path, broken)])
    api.run(make_recipe(tmp_path), tmp_path / "native")
    assert final_files(tmp_path / "ray") == final_files(tmp_path / "native")
    with pytest.raises(PoolwrightError) as caught:
        api.run(make_recipe(broken), broken / "native")
    assert f"{type(caught.value).__name__}: {caught.value}" in said
