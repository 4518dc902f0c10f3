"""Prints the scripts that complete commands in shells, and answers them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from poolwright.cli.app import app
from poolwright.cli.completers import one_of
from poolwright.cli.output import OUTPUT

VARIABLE = "_POOLWRIGHT_COMPLETE"
"""Variable of the environment by which the script of a shell asks for completions."""

_SHELLS = ("bash", "zsh", "fish")


def prepare() -> None:
    """Make typer ready to answer the script of a shell, if that is who calls."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()


@app.command()
def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.", metavar="SHELL", autocompletion=one_of(*_SHELLS))],
) -> None:
    """Print the script that completes commands in a shell.

    bash: eval "$(poolwright completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc, after compinit. fish:
    poolwright completion fish > ~/.config/fish/completions/poolwright.fish
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    from poolwright.core.errors import RecipeError, did_you_mean

    if shell not in _SHELLS:
        raise RecipeError(f"no script for the shell '{shell}'; {did_you_mean(shell, _SHELLS)}")
    OUTPUT.show(print, get_completion_script(prog_name="poolwright", complete_var=VARIABLE, shell=shell))
