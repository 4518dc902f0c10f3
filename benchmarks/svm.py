"""A cubic SVM over 500,000 embeddings of a CommonPool: scikit-learn, scikit-learn-intelex, and ours.

Each goes from the same shards (`.npz` with l14_img, 768 float16, and `.parquet` with uid) to parquet files of uid
and decision of the rows above 0, as a process of its own on all cores, imports included, with the same model:
`SVC(kernel='poly', degree=3)` fitted on 3,720 balanced examples. scikit-learn gets one shard, and its time is scaled
up. scikit-learn-intelex is installed into an environment of its own, `work/svm/intelex`, once.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.generate_commonpool import examples, write
from benchmarks.timing import fresh_folder, in_turn, python

ROWS, SHARDS, EACH, SEED = 500_000, 10, 1_860, 4

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

OURS = """
import os
from concurrent.futures import ThreadPoolExecutor
from threadpoolctl import threadpool_limits
from poolwright.kernels.classifiers import Classifier
from poolwright.kernels.decide import decide, prepare
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


def run(work: Path) -> float:
    """Our rows/s over those of the faster peer; at least 6 is wanted."""
    pool = work / "pool"
    made = write(pool, ROWS, SHARDS, ("l14_img",), SEED)
    model, pickled = fit(work)
    for name in ("sklearn", "intelex", "poolwright"):
        fresh_folder(work / name)
    commands = {
        "sklearn": python(COMMON + SKLEARN, pool, model, work / "sklearn", pickled),
        "poolwright": python(COMMON + OURS, pool, model, work / "poolwright"),
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
    print(f"  {made.maps} maps; {(work / 'poolwright.log').read_text().strip()}")
    for name in commands.keys() - {"poolwright"}:
        compare(work, name)
    return min(second for name, second in seconds.items() if name != "poolwright") / seconds["poolwright"]


def fit(work: Path) -> tuple[Path, Path]:
    """The model as plain arrays, and pickled for scikit-learn; fitted once."""
    import pickle

    from sklearn.svm import SVC

    arrays, pickled = work / "model.npz", work / "model.pickle"
    vectors, is_map = examples(SEED, EACH, 1)
    svc = SVC(kernel="poly", degree=3).fit(vectors.astype(np.float64), is_map)
    names = {"support": "support_vectors_", "dual_coef": "dual_coef_", "intercept": "intercept_"}
    plain = {name: getattr(svc, attribute) for name, attribute in names.items()}
    np.savez(arrays, **plain, n_support=svc.n_support_, gamma=svc._gamma)
    pickled.write_bytes(pickle.dumps(svc))
    print(f"  model: {len(svc.support_)} support vectors")
    return arrays, pickled


def install(folder: Path) -> str | None:
    """The interpreter of an environment with scikit-learn-intelex; None where it cannot be installed."""
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
    mine, theirs = set(), set()
    for path in sorted((work / peer).glob("*.parquet")):
        theirs.update(pq.read_table(path).column("uid").to_pylist())
        mine.update(pq.read_table(work / "poolwright" / path.name).column("uid").to_pylist())
    print(f"  decisions other than those of {peer}: {len(mine ^ theirs)}; {len(theirs)} above 0")
    if mine != theirs and peer == "sklearn":
        raise RuntimeError(f"{len(mine ^ theirs)} rows are decided differently by scikit-learn")
