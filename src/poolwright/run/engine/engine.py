"""Defines the protocol of engines, and makes engines by name."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.step import Resources

R = TypeVar("R")

ENGINES = ("local", "ray")
ONE_CPU = Resources()


class Engine(Protocol):
    """Runs a function over units of work.

    The result or error of a function for a unit depends on the unit alone, so no result depends on the engine, the
    number of workers or the order in which units finish. Several engines, and several calls of one, may run at once
    in a process.

    Attributes:
        name: 'local' or 'ray'.
        workers: units that run at a time, as far as that is known.
    """

    name: str

    @property
    def workers(self) -> int: ...

    def map(
        self, function: Callable[[int], R], units: Sequence[int], resources: Resources = ONE_CPU
    ) -> Generator[tuple[int, R], None, None]:
        """Call `function` with every unit; yield (unit, result) as units finish, in any order.

        Closing the generator cancels the units that have not begun and waits for those that have, except on an
        interrupt such as Ctrl-C, which does not wait.

        Args:
            resources: the resources that one unit occupies while it runs.

        Raises:
            Exception: the error that the function raised, with its type.
        """
        ...

    def reduce(
        self,
        function: Callable[[int], R],
        units: Sequence[int],
        merge: Callable[[R, R], R],
        done: Callable[[], None] = lambda: None,
        resources: Resources = ONE_CPU,
    ) -> R:
        """Call `function` with every unit, and merge the results in the order of `units`.

        The workers merge neighbours as they finish, in a tree whose shape depends on the number of units alone, so the
        calling process never holds a result per unit.

        Args:
            units: at least one.
            merge: associative; may change its first argument and return it.
            done: called in the calling thread after every unit.
            resources: as in `map`.

        Raises:
            Exception: the error that a function raised, with its type.
        """
        ...


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
