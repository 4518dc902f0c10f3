"""`poolwright new imagenet-v2` from folders of drawn pictures and several people's verdicts to verified releases."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from poolwright import api
from poolwright.demo.demo import clip_folder
from poolwright.demo.drawing import draw_kind
from poolwright.recipe.shipped import shipped_text
from tests.calling import call

CLASSES = ("car", "cat", "clock")
EACH = {"validation": 24, "candidates": 50}
PEOPLE = 5


def write_folders(root: Path) -> dict[str, float]:
    """Pictures that are more or less covered by noise; returns the chance that somebody picks each.

    Two candidates are copies: one of a validation picture, one of another candidate.
    """
    draw, chances = np.random.default_rng(5), {}
    for name, each in EACH.items():
        for kind in CLASSES:
            folder = root / name / kind
            folder.mkdir(parents=True)
            for number in range(each):
                noise = draw.beta(1.2, 1.6)
                drawn = np.asarray(draw_kind(kind, draw).convert("RGB"), np.float64)
                pixels = (1 - noise) * drawn + noise * draw.integers(0, 255, drawn.shape)
                file = f"{kind}/{name}-{number:02d}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(root / name / file)
                chances[file] = 0.98 - 0.9 * noise
    copyfile(root / "validation" / "car" / "validation-00.png", root / "candidates" / "car" / "copy.png")
    copyfile(root / "candidates" / "cat" / "candidates-00.png", root / "candidates" / "cat" / "copy.png")
    return chances


def recipe() -> dict[str, Any]:
    """The shipped recipe with another encoder and fewer people; nothing else is changed."""
    data: dict[str, Any] = yaml.safe_load(shipped_text("imagenet-v2"))
    data["models"]["features"] = f"onnx:{clip_folder()}"
    tables = data["tables"]
    tables["judged"]["steps"][0]["selection_frequency"]["annotators"] = PEOPLE
    # Vectors of this encoder are nearer to each other.
    tables["candidates"]["steps"][2]["decontaminate"]["above"] = 0.9999
    tables["candidates"]["steps"][3]["near_duplicates"]["above"] = 0.9999
    return data


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, dict[str, Counter[bool]]]:
    """The folder it ran in, its result, and who picked what."""
    folder = tmp_path_factory.mktemp("imagenet-v2")
    chances = write_folders(folder / "data")
    (folder / "imagenet-v2.yaml").write_text(yaml.safe_dump(recipe(), sort_keys=False), encoding="utf-8")
    waiting = call("run", "imagenet-v2.yaml", folder=folder)
    assert waiting.code == 3, waiting.err
    assert "judged: waiting for " in waiting.err + waiting.out
    draw = np.random.default_rng(6)
    said: dict[str, Counter[bool]] = defaultdict(Counter)
    asked = api.Recipe.load(folder / "imagenet-v2.yaml")
    for person in range(PEOPLE):
        lines = ["uid,verdict"]
        for uid, chance in chances.items():
            picked = bool(draw.random() < chance)
            said[uid][picked] += 1
            lines.append(f"{uid},{'yes' if picked else 'no'}")
        file = folder / "runs" / "imagenet-v2" / "verify" / "judged" / "verdicts" / f"person-{person}.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines))
    return folder, api.run(asked, folder / "runs" / "imagenet-v2"), said


def test_copies_are_removed_before_anybody_is_asked(made: Any) -> None:
    _, result, _ = made
    dropped: Counter[str] = Counter()
    for step in result.tables["candidates"].record.funnel:
        dropped.update(step.dropped)
    assert dropped["equal_file"] == 1
    assert dropped["near_duplicate"] >= 1
    assert result.tables["judged"].record.rows_kept == sum(EACH.values()) * len(CLASSES) + 2 - sum(dropped.values())


def test_every_set_has_ten_of_each_class_with_the_frequencies_that_people_gave(made: Any) -> None:
    _, result, said = made
    means = {}
    for name in ("judged-validation", "matched-frequency", "threshold-0.7", "top-images"):
        rows = result.tables[name].read(["uid", "label", "selection_frequency", "judges"]).to_pylist()
        for row in rows:
            assert row["selection_frequency"] == said[row["uid"]][True] / PEOPLE
            assert row["judges"] == PEOPLE
        means[name] = np.mean([row["selection_frequency"] for row in rows])
        if name != "judged-validation":
            assert Counter(row["label"] for row in rows) == dict.fromkeys(CLASSES, 10)
    assert abs(means["judged-validation"] - means["matched-frequency"]) < 0.06
    assert means["matched-frequency"] < means["threshold-0.7"] < means["top-images"]


def test_the_figure_shows_that_sets_of_agreement_are_easier(made: Any) -> None:
    _, result, _ = made
    (figure,) = [one for one in result.figures if one.measure == "domain_gap"]
    means = dict(zip(figure.value.columns, np.mean(figure.value.values, axis=0), strict=True))
    assert means["matched-frequency"] + 0.1 < min(means["threshold-0.7"], means["top-images"])
    assert abs(means["matched-frequency"] - means["judged-validation"]) < 0.1


def test_the_releases_verify(made: Any) -> None:
    folder, _, _ = made
    for name in ("matched-frequency", "threshold0.7", "top-images"):
        called = call("verify", f"out/imagenetv2-{name}", "--full", folder=folder)
        assert called.code == 0, called.out
