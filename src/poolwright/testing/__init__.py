"""Property suites for steps, pools and layouts: tests for pytest of what must hold for every one of them.

    from poolwright.testing import StepSuite

    class TestSharpness(StepSuite):
        step = Sharpness

Needs pytest and hypothesis: `pip install 'poolwright[testing]'`. See docs/extending.md.
"""

from __future__ import annotations

from importlib.util import find_spec

from poolwright.core.errors import MissingExtra

for _library in ("pytest", "hypothesis"):
    if find_spec(_library) is None:
        raise MissingExtra(_library, "poolwright.testing")

import pytest  # noqa: E402

# The suites' assertions report the values that differ, as those of test modules do.
pytest.register_assert_rewrite("poolwright.testing.steps", "poolwright.testing.pools")

from poolwright.testing.layouts import LayoutSuite  # noqa: E402
from poolwright.testing.pools import PoolSuite  # noqa: E402
from poolwright.testing.steps import StepCase, StepSuite  # noqa: E402

__all__ = ["LayoutSuite", "PoolSuite", "StepCase", "StepSuite"]
