"""Options of training, comparing and choosing classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poolwright.core.errors import did_you_mean
from poolwright.kernels.classifiers.parameters import KINDS
from poolwright.models.classifiers.calibration import Method
from poolwright.models.classifiers.candidates import GRIDS
from poolwright.models.classifiers.comparison import METRICS
from poolwright.models.classifiers.examples import FEATURES
from poolwright.models.classifiers.thresholds import Target

SEARCH_METRICS = ("accuracy", "roc_auc", "average_precision")


@dataclass(frozen=True)
class ClassifierOptions:
    """Options of training. Shares are in 0 .. 1.

    Attributes:
        positive: the wanted class; needed for two classes. Of more classes, all others become one.
        candidates: kinds of classifier to compare, see `candidates.GRIDS`.
        features: features to train on if the examples have text; default all of `FEATURES`.
        grids: values to search by kind and parameter, instead of those of `candidates.GRIDS`.
        folds: number of folds of the cross-validation.
        search_rows: most training rows that the search uses, the same share of every class; the chosen
            parameters are then fitted on all rows.
        search_by: metric that the search maximises: accuracy, roc_auc or average_precision. Default average_precision
            for two classes, accuracy for more.
        choose_by: metric that the choice among candidates maximises on validation rows, one of `METRICS`; same
            defaults.
        ties: 'exact': of equal candidates the one with the fewest operations per row. 'interval': the one with the
            fewest of all that the validation rows cannot distinguish from the best.
        near_duplicates: training rows whose cosine with a validation row is at least this are removed; None keeps
            all except those with the same uid or SHA-256.
        validation_share: share of every class that validates, if the examples have no split.
        threshold: target of the chosen classifier's threshold; two classes only.
        prevalence: share of positives to expect in the pool, for the threshold and the probabilities.
        calibration: 'platt' or 'isotonic'.
        draws: number of draws of the bootstrap.
    """

    positive: str | None = None
    candidates: tuple[str, ...] = KINDS
    features: tuple[str, ...] | None = None
    grids: Mapping[str, Mapping[str, Sequence[float | int]]] = field(default_factory=dict)
    folds: int = 5
    search_rows: int = 4_000
    search_by: str | None = None
    choose_by: str | None = None
    ties: str = "exact"
    near_duplicates: float | None = 0.98
    validation_share: float = 0.2
    threshold: Target = field(default_factory=Target)
    prevalence: float | None = None
    calibration: Method = "platt"
    draws: int = 1_000

    def __post_init__(self) -> None:
        _check_known("candidate", self.candidates, KINDS)
        _check_known("features", self.features or FEATURES, FEATURES)
        _check_known("search_by", [self.search_by] if self.search_by else SEARCH_METRICS, SEARCH_METRICS)
        _check_known("choose_by", [self.choose_by] if self.choose_by else METRICS, METRICS)
        _check_known("ties", [self.ties], ("exact", "interval"))
        _check_known("calibration", [self.calibration], ("platt", "isotonic"))
        _check_known("grids", self.grids, KINDS)
        for kind, grid in self.grids.items():
            _check_known(f"grids of {kind}:", grid, GRIDS[kind])
            if not all(len(values) for values in grid.values()):
                raise ValueError(f"grids of {kind}: every parameter needs a value or more to try")
        if self.folds < 2:
            raise ValueError(f"folds: {self.folds} is too few; give 2 or more")
        if self.draws < 100:
            raise ValueError(f"draws: {self.draws} is too few for an interval; give 100 or more")
        for name in ("validation_share", "prevalence"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise ValueError(f"{name}: {share} is not a share between 0 % and 100 %")


def _check_known(what: str, given: Any, known: Any) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{what} '{name}' is not known; {did_you_mean(name, known)}")
    if what in ("candidate", "features") and not given:
        raise ValueError(f"{what}: name one or more of {', '.join(known)}")
