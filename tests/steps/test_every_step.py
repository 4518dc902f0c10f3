"""The property suite over every registered step."""

from __future__ import annotations

from poolwright.registry import STEPS, step_class
from poolwright.testing import StepSuite
from tests.steps.cases import CASES, cases_of

for _verb in STEPS:
    _name = "Test" + _verb.title().replace("_", "")
    globals()[_name] = type(_name, (StepSuite,), {"step": step_class(_verb), "cases": cases_of(_verb)})


def test_cases_are_those_of_steps() -> None:
    assert set(CASES) <= set(STEPS)
