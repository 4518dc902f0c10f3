"""A cubic SVM over 500,000 embeddings of a CommonPool: scikit-learn, scikit-learn-intelex, and ours.

Each goes from the same shards (`.npz` with l14_img, 768 float16, and `.parquet`) to Parquet files of the rows above 0,
as a process of its own on all cores, imports included, with the same model: a cubic SVM that `classify` fitted on
3,720 balanced examples. They write uid and decision; `svm-run` is `poolwright apply` of the release as a whole, with
digests of the input, ledger, and all columns and vectors of the kept rows. scikit-learn gets one shard, and its time is
scaled up. scikit-learn-intelex is installed into an environment of its own, `work/svm/environment`, once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.svm import SVC

from benchmarks.commonpool import shares_of, write_recipe
from benchmarks.timing import fresh_folder, in_turn, python
from poolwright import api
from poolwright.conformance.commonpool import SEED, examples, write
from poolwright.core.state import State
from poolwright.kernels.classifiers.parameters import decisions
from poolwright.models.classifiers.trained import classifier_of
from poolwright.recipe.released import read_released

ROWS, SHARDS = 500_000, 10

COMMON = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
shards, model, out = sorted(Path(sys.argv[1]).glob("*.npz")), np.load(sys.argv[2]), Path(sys.argv[3])
out.mkdir(exist_ok=True)
def read(path):
    return np.load(path)["l14_img"], pq.read_table(path.with_suffix(".parquet"), columns=["uid"])
def write(path, uids, decision, kept):
    table = uids.filter(pa.array(kept)).append_column("decision", pa.array(decision[kept].astype(np.float32)))
    pq.write_table(table, out / f"{path.stem}.parquet")
def decide_all(svc, shards):
    for path in shards:
        vectors, uids = read(path)
        decision = np.concatenate([svc.decision_function(vectors[i : i + 10_000].astype(np.float64))
                                   for i in range(0, len(vectors), 10_000)])
        write(path, uids, decision, decision > 0)
"""

SKLEARN = """
import pickle
decide_all(pickle.loads(Path(sys.argv[4]).read_bytes()), shards[:1])
"""

INTELEX = """
from sklearnex.svm import SVC
svc = SVC(kernel="poly", degree=3, gamma=float(model["gamma"]))
svc.fit(np.concatenate([model["support"][:1], model["support"][-1:]]), [0, 1])
svc.support_vectors_, svc.dual_coef_, svc.intercept_ = model["support"], model["dual_coef"], model["intercept"]
svc._n_support = model["n_support"]
decide_all(svc, shards)
"""

DECIDE = """
import os
from concurrent.futures import ThreadPoolExecutor
from threadpoolctl import threadpool_limits
from poolwright.kernels.classifiers.parameters import Classifier
from poolwright.kernels.classifiers.predict import decide, prepare
values = {"kernel": "poly", "degree": 3, "coef0": 0.0, "gamma": float(model["gamma"])}
arrays = {name: model[name] for name in ("support", "dual_coef", "intercept", "n_support")}
prepared = prepare(Classifier("svm", ("other", "map"), values, arrays))
def one(path):
    vectors, uids = read(path)
    decided = decide(prepared, vectors)
    write(path, uids, decided.decision, decided.positive)
    return decided.exact, decided.replayed
with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
    counts = np.array(list(pool.map(one, shards)))
print("exact", *counts.sum(axis=0), "ranks", *prepared.screen.ranks)
"""

APPLY = """
import shutil, sys
from poolwright.api import apply
shutil.rmtree(sys.argv[4], ignore_errors=True)
apply(sys.argv[1], [sys.argv[2]], sys.argv[4], kind="commonpool", sets=["vectors=[l14_img]"], ledger="counts")
"""


def run(work: Path, backend: str = "decide") -> float:
    """Our rows/s over those of the faster peer; of the decision at least 6 is wanted.

    Args:
        backend: 'decide', from shards to kept rows as the peers do; or 'run', as a whole `poolwright apply`.
    """
    pool = work / "pool"
    made = write(pool, ROWS, SHARDS, ("l14_img",), SEED)
    release = train(work)
    model, pickled = export(release, work)
    for name in ("sklearn", "intelex", "poolwright"):
        fresh_folder(work / name)
    ours = {
        "decide": python(COMMON + DECIDE, pool, model, work / "poolwright"),
        "run": python(APPLY, release, pool, model, work / "poolwright"),
    }
    commands = {
        "sklearn": python(COMMON + SKLEARN, pool, model, work / "sklearn", pickled),
        "poolwright": ours[backend],
    }
    interpreter = install(work / "environment")
    if interpreter is not None:
        commands["intelex"] = [interpreter, *python(COMMON + INTELEX, pool, model, work / "intelex")[1:]]
    used = in_turn(commands, work, times=2)
    seconds = {name: usage.seconds * (SHARDS if name == "sklearn" else 1) for name, usage in used.items()}
    for name, usage in used.items():
        note = ", scaled from one shard" if name == "sklearn" else ""
        rows = f"{ROWS / seconds[name]:,.0f} rows/s{note}"
        print(f"  {name}: {seconds[name]:.2f} s, {rows}, peak {usage.peak / 1e9:.2f} GB")
    print(f"  {made.maps} maps; {_where_time_went(work / 'poolwright')}")
    for name in commands.keys() - {"poolwright"}:
        compare(work, name)
    return min(second for name, second in seconds.items() if name != "poolwright") / seconds["poolwright"]


def train(work: Path) -> Path:
    """A release whose SVM learned from MapPool's number of examples, made over one small shard; made once."""
    release = work / "release"
    if not release.exists():
        write(work / "small", 10_000, 1, ("l14_img",), SEED)
        api.run(write_recipe(work, "small", "svm"), work / "trained")
    return release


def export(release: Path, work: Path) -> tuple[Path, Path]:
    """The released classifier as plain arrays, and as a pickled `SVC` of scikit-learn."""
    import pickle

    (step,) = (step for step in read_released(release).steps if step.verb == "classify")
    found = classifier_of(State.load(step.learned.folder, step.learned.name))
    arrays, gamma = found.arrays, float(found.values["gamma"])
    np.savez(work / "model.npz", **arrays, gamma=gamma)
    # A fitted estimator whose numbers are replaced by those of the release.
    svc = SVC(kernel="poly", degree=3, gamma=gamma, coef0=float(found.values["coef0"]))
    svc.fit(np.stack([arrays["support"][0], arrays["support"][-1]]).astype(np.float64), [0, 1])
    svc.support_ = np.arange(len(arrays["support"]), dtype=np.int32)
    svc.support_vectors_ = np.ascontiguousarray(arrays["support"], np.float64)
    svc._n_support = np.asarray(arrays["n_support"], np.int32)
    svc.dual_coef_, svc.intercept_ = arrays["dual_coef"], arrays["intercept"]
    svc._dual_coef_, svc._intercept_ = -arrays["dual_coef"], -arrays["intercept"]
    rows = np.asarray(examples(SEED, 50, 9)[0], np.float64)
    np.testing.assert_allclose(svc.decision_function(rows), decisions(found, rows), rtol=0, atol=1e-9)
    (work / "model.pickle").write_bytes(pickle.dumps(svc))
    print(f"  model: {len(svc.support_)} support vectors")
    return work / "model.npz", work / "model.pickle"


def install(folder: Path) -> str | None:
    """The interpreter of an environment with scikit-learn-intelex; None if it cannot be installed."""
    interpreter = folder / "bin" / "python"
    probe = [str(interpreter), "-c", "import sklearnex, pyarrow"]
    if not interpreter.exists() or subprocess.run(probe, capture_output=True).returncode:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(interpreter), "-m", "pip", "install", "-q", "scikit-learn-intelex", "pyarrow"]
        if subprocess.run(command, capture_output=True).returncode:
            print("  scikit-learn-intelex cannot be installed here: compared with scikit-learn alone")
            return None
    return str(interpreter)


def compare(work: Path, peer: str) -> None:
    """The rows above 0 must be the peer's, shard by shard.

    Raises:
        RuntimeError: they are not, for scikit-learn; scikit-learn-intelex adds up in another order.
    """
    folder = work / "poolwright"
    parts = [*folder.glob("tables/*/part-*.parquet")] or [*folder.glob("*.parquet")]
    ours = {uid for part in parts for uid in pq.read_table(part, columns=["uid"]).column("uid").to_pylist()}
    mine, theirs = set(), set()
    for path in sorted((work / peer).glob("*.parquet")):
        theirs.update(pq.read_table(path).column("uid").to_pylist())
        mine.update(ours.intersection(pq.read_table(work / "pool" / path.name, columns=["uid"]).column(0).to_pylist()))
    print(f"  decisions other than those of {peer}: {len(mine ^ theirs)}; {len(theirs)} above 0")
    if mine != theirs and peer == "sklearn":
        raise RuntimeError(f"{len(mine ^ theirs)} rows are decided differently by scikit-learn")


def _where_time_went(folder: Path) -> str:
    """Of a whole run, shares of the time; of the decision alone, rows that were decided exactly."""
    for path in folder.glob("tables/*/timings.json"):
        return shares_of(json.loads(path.read_text())["spent"])
    return (folder.parent / "poolwright.log").read_text().strip()
