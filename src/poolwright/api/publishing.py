"""Publish: push releases to the Hugging Face Hub or an object store, pull them from there, export classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.core.runtime.progress import Listener, Silent

if TYPE_CHECKING:
    from poolwright.hub.results import Pulled, Pushed


def push(
    release: str | Path,
    to: str,
    *,
    public: bool = False,
    revision: str | None = None,
    message: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    listener: Listener | None = None,
) -> Pushed:
    """Push a release to the Hugging Face Hub, or to a folder of an object store.

    The release is verified first, and for the Hub its names, sizes, counts and the header of its card are checked
    against the Hub's rules. What is there already is not sent again, so that repeating the call continues a push that
    was interrupted. Files that are there and not in the release are removed.

    The token of the Hub comes from HF_TOKEN or from `hf auth login`, the keys of a store from its usual places.

    Args:
        release: the folder of the release.
        to: `hf://datasets/USER/NAME`, or `s3://BUCKET/FOLDER`.
        public: make a dataset that is not on the Hub yet public rather than private.
        revision: branch to push to, which is made if it is missing; default the default branch.
        message: of the commit; default the table, its rows and the layout.
        overwrite: whether something there that is not a release may be replaced.
        dry_run: check, and send nothing. It needs neither token nor network.
        listener: receives progress.

    Raises:
        RecipeError: the address is wrong, or there is no token.
        MissingExtra: huggingface_hub or s3fs is not installed.
        ReleaseError: the release does not verify, breaks a rule of the Hub, or something else is there.
        TransferError: the Hub or store refuses, fails or cannot be reached.
    """
    from poolwright.hub.push_release import push_release
    from poolwright.registry import layout_class

    return push_release(
        Path(release), to, layout_class, public=public, revision=revision, message=message, overwrite=overwrite,
        dry_run=dry_run, listener=listener or Silent(),
    )  # fmt: skip


def pull(
    source: str,
    to: str | Path | None = None,
    *,
    revision: str | None = None,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> Pulled:
    """Pull a dataset from the Hugging Face Hub, or from a folder of an object store.

    The folder appears once it is complete. A release of poolwright is verified; of it, only files that its SHA256SUMS
    lists are pulled. Any other dataset is pulled whole, and its files are compared with the digests that the Hub gives.
    Repeating the call continues a pull that was interrupted.

    Args:
        source: `hf://datasets/USER/NAME`, with `@REVISION` at its end or without, or `s3://BUCKET/FOLDER`.
        to: the folder; default one of the dataset's name in the working directory.
        revision: branch, tag or commit; default the default branch.
        overwrite: whether a folder that holds something else, or another version, may be replaced.
        listener: receives progress.

    Raises:
        RecipeError: the address is wrong.
        MissingExtra: huggingface_hub or s3fs is not installed.
        ReleaseError: the folder holds something else.
        TransferError: the Hub or store refuses, fails, cannot be reached, or sends other bytes than it says.
    """
    from poolwright.hub.pull_release import pull_release
    from poolwright.registry import layout_class

    place = Path(to) if to is not None else None
    return pull_release(source, place, layout_class, revision, overwrite, listener or Silent())


def export_classifier(source: str | Path, to: str | Path) -> Path:
    """Write the classifier of a table or a release as ONNX or for scikit-learn, and its model card.

    Both decide as the step `classify` does, which reads them again by its parameter `model`. The card, which is
    Markdown as the Hugging Face Hub reads it, is named as the file and ends in `.md`. One that is there already is
    kept: its author may have completed it.

    Args:
        source: the folder of a finished table (`runs/mappool/tables/maps`) or of a release that has a step `classify`,
            or the `.json` of its state.
        to: a file that ends in `.onnx` (input `vectors`, float32; outputs `label` and `scores`), or in `.skops` (a
            fitted estimator, saved by skops).

    Returns:
        The path of the file.

    Raises:
        RecipeError: another suffix, or the folder has no classifier, or several.
        InputError: the classifier cannot be written in this form.
        MissingExtra: onnx or skops is not installed.
    """
    from poolwright.core.files import write_text
    from poolwright.models.classifiers.export.write import write_classifier
    from poolwright.release.card.model_card import model_card

    to = Path(to)
    state, card = write_classifier(Path(source), to), to.with_suffix(".md")
    if not card.exists():
        write_text(card, model_card(state, to.name))
    return to
