"""Make an engine by its name."""

from __future__ import annotations

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.run.engine.protocol import Engine

ENGINES = ("local", "ray")


def make_engine(name: str = "local", workers: int | None = None, address: str | None = None) -> Engine:
    """Make an engine by its name.

    Args:
        name: 'local' (threads of this process) or 'ray'.
        workers: units that run at a time. Default: one per core that this process may use, or as many as the cluster
            can take.
        address: address of a Ray cluster, such as 'ray://head:10001'. Default: the one that Ray finds, else a local
            one that it starts.

    Raises:
        RecipeError: unknown name, fewer than one worker, or an address for an engine that takes none.
        MissingExtra: Ray is not installed.
    """
    if name == "native":
        raise RecipeError("the engine 'native' is called 'local' now; write: --engine local")
    if name not in ENGINES:
        raise RecipeError(f"unknown engine '{name}'; {did_you_mean(name, ENGINES)}")
    if workers is not None and workers < 1:
        raise RecipeError(f"workers must be at least 1, not {workers}")
    if name == "ray":
        from poolwright.run.engine.ray import RayEngine

        return RayEngine(workers, address)
    if address is not None:
        raise RecipeError("an address is for the engine 'ray'; write: --engine ray")
    from poolwright.run.engine.local import LocalEngine

    return LocalEngine(workers)
