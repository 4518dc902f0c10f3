"""Commands that publish: push, pull and export-classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from poolwright.cli.app import app
from poolwright.cli.output import OUTPUT

_ADDRESS = "hf://datasets/USER/NAME or s3://BUCKET/FOLDER."


@app.command()
def push(
    release: Annotated[Path, typer.Argument(help="The folder of a release.", metavar="RELEASE")],
    to: Annotated[str, typer.Argument(help=_ADDRESS, metavar="ADDRESS")],
    public: Annotated[bool, typer.Option("--public", help="Make a new dataset public; private without.")] = False,
    revision: Annotated[Optional[str], typer.Option(help="Branch of the dataset; made if missing.")] = None,  # noqa: UP045
    message: Annotated[Optional[str], typer.Option(help="Message of the commit.")] = None,  # noqa: UP045
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there and is no release.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, and send nothing; needs no network.")] = False,
) -> None:
    """Push a release to the Hugging Face Hub or a store.

    What is there already is not sent again: the same command continues.
    """
    from poolwright.api import push as push_release
    from poolwright.cli.rendering.publishing import print_pushed

    with OUTPUT.listening() as listener:
        pushed = push_release(
            release, to, public=public, revision=revision, message=message, overwrite=overwrite, dry_run=dry_run,
            listener=listener,
        )  # fmt: skip
    OUTPUT.show(print_pushed, pushed, asked=dry_run or not pushed.ok)
    if not pushed.ok:
        raise typer.Exit(1)


@app.command()
def pull(
    source: Annotated[str, typer.Argument(help=f"{_ADDRESS} @REVISION may follow NAME.", metavar="ADDRESS")],
    to: Annotated[Optional[Path], typer.Argument(help="The folder; default NAME.", metavar="TO")] = None,  # noqa: UP045
    revision: Annotated[Optional[str], typer.Option(help="Branch, tag or commit.")] = None,  # noqa: UP045
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the folder holds.")] = False,
) -> None:
    """Pull a release from the Hugging Face Hub or a store.

    It is verified. The same command continues a pull that was interrupted.
    """
    from poolwright.api import pull as pull_release
    from poolwright.cli.rendering.publishing import print_pulled

    with OUTPUT.listening() as listener:
        pulled = pull_release(source, to, revision=revision, overwrite=overwrite, listener=listener)
    OUTPUT.show(print_pulled, pulled, asked=not pulled.ok)
    if not pulled.ok:
        raise typer.Exit(1)


@app.command("export-classifier")
def export_classifier(
    source: Annotated[
        Path, typer.Argument(help="Folder of a table or a release with a step classify.", metavar="SOURCE")
    ],
    to: Annotated[Path, typer.Argument(help="File to write: .onnx or .skops.", metavar="FILE")],
) -> None:
    """Write a trained classifier as ONNX or for scikit-learn.

    Both decide as the step does; `classify: {model: FILE}` reads them again.
    A model card is written next to the file, as .md, unless one is there.
    """
    from poolwright.api import export_classifier as export
    from poolwright.cli.rendering.publishing import print_exported

    OUTPUT.show(print_exported, export(source, to), asked=False)
