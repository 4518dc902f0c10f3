"""Defines the JSON document of every command: a dataclass, made by `of` from what the command prints.

Names, types and the sections `Attributes` of these classes are the documented schema, docs/json.md.
"""

from __future__ import annotations

from typing import Any, Protocol


class Document(Protocol):
    """A class of documents."""

    @classmethod
    def of(cls, *results: Any) -> Any:
        """Make the document from the results that the command prints."""
        ...


def document_of(command: str) -> Document:
    """Return the class of a command's document."""
    document: Document = documents()[command]
    return document


def documents() -> dict[str, Any]:
    """Return the classes of documents by command, in the order of the help."""
    from poolwright.cli.documents import annotating, data, inspecting, listing, publishing, running

    return {
        "demo": running.DemoDocument,
        "try": running.TryDocument,
        "recipes": listing.RecipesDocument,
        "new": running.FilesDocument,
        "check": running.CheckDocument,
        "plan": running.PlanDocument,
        "run": running.RunDocument,
        "apply": running.ApplyDocument,
        "show": running.ShowDocument,
        "why": inspecting.WhyDocument,
        "ledger": inspecting.LedgerDocument,
        "search": inspecting.SearchDocument,
        "diff": inspecting.DiffDocument,
        "leaks": inspecting.LeaksDocument,
        "conformance": inspecting.ConformanceDocument,
        "report": running.FilesDocument,
        "studio": inspecting.StudioDocument,
        "verify": inspecting.VerifyDocument,
        "audit": running.FilesDocument,
        "accuracy": annotating.AccuracyDocument,
        "combine-boxes": annotating.BoxesDocument,
        "import-clear": running.FilesDocument,
        "convert": data.ConvertDocument,
        "fetch": data.FetchDocument,
        "rebuild": data.RebuildDocument,
        "encoder": data.EncoderDocument,
        "train-encoder": data.TrainDocument,
        "push": publishing.PushDocument,
        "pull": publishing.PullDocument,
        "export-classifier": running.FilesDocument,
        **dict.fromkeys(("steps", "pools", "layouts", "figures", "encoders"), listing.EntriesDocument),
        "completion": listing.ScriptDocument,
    }
