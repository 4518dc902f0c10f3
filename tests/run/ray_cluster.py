"""A Ray cluster of two nodes on this machine, for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


class TwoNodes:
    """A head node and another, with one CPU each; the other can be killed.

    Args:
        of_head: further parameters of the head node.
    """

    def __init__(self, **of_head: Any) -> None:
        from ray.cluster_utils import Cluster

        # A node that is gone is missed within seconds.
        checks = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
        head = {**NODE, "include_dashboard": False, "_system_config": checks, **of_head}
        self.cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self.other: Any = None
        self.restore()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def restore(self) -> None:
        """Start the other node, if it was killed."""
        if self.other is None:
            self.other = self.cluster.add_node(**NODE)

    def kill(self) -> None:
        """Kill the other node with everything that runs and is stored on it."""
        if self.other is not None:
            other, self.other = self.other, None
            self.cluster.remove_node(other, allow_graceful=False)

    def end(self) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    pytest.importorskip("ray")
    from poolwright.core.runtime.quiet import silence

    silence()
    found = TwoNodes()
    try:
        yield found
    finally:
        found.end()
