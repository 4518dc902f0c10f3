"""Prints what `check` found, without rich: loading it would take a tenth of the time of a check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from poolwright.api import TablePlan


def print_check(recipe: Path, plans: Mapping[str, TablePlan]) -> None:
    """Print that a recipe is valid, and the columns of its tables."""
    for name, plan in plans.items():
        typer.echo(typer.style(f"{name}  from {plan.source.name}", bold=True))
        typer.echo(f"  steps    {', '.join(step.step.verb for step in plan.steps) or 'none'}")
        typer.echo(f"  columns  {', '.join(plan.schema.names)}")
        for remark in plan.remarks():
            typer.echo(f"  note     {remark}")
    typer.echo(f"{recipe}: nothing wrong; run it with: poolwright run {recipe}")
