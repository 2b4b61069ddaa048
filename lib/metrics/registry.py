"""The measures a study file may name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lib.metrics.accuracy import accuracy
from lib.metrics.auroc import auroc
from lib.metrics.auroc_positive import auroc_positive
from lib.metrics.average_precision import average_precision
from lib.metrics.average_precision_positive import average_precision_positive
from lib.metrics.balanced_accuracy import balanced_accuracy
from lib.metrics.brier import brier
from lib.metrics.cohen_kappa import cohen_kappa
from lib.metrics.f1 import f1
from lib.metrics.macro_f1 import macro_f1
from lib.metrics.partial_auroc import partial_auroc
from lib.metrics.precision import precision
from lib.metrics.sensitivity import sensitivity
from lib.metrics.specificity import specificity
from lib.names import look_up


@dataclass(frozen=True)
class Measure:
    """A measure's name, title and needs; call it like the function it stands for, options it has no use for are ignored."""

    name:             str
    title:            str                                       # for sentences and axes
    function:         Callable[..., float | np.ndarray]
    rests_on:         Literal["images", "classes", "positives", "negatives", "both"]    # what there must be enough of
    options:          tuple[str, ...]                           # of the keywords of __call__: those it takes
    higher_is_better: bool = True
    lowest:           float = 0.0                               # where its scale begins; it ends at 1, that of a partial area at its width

    @property
    def needs_positive(self) -> bool:
        """Whether the study must name positive classes; a measure that rests on images alone can do without."""
        return "positive" in self.options and self.rests_on != "images"

    @property
    def needs_threshold(self) -> bool:
        """Whether the table must hold a threshold."""
        return "threshold" in self.options

    def limits(self, minimum_sensitivity: float) -> tuple[float, float]:
        """The ends of its scale."""
        return self.lowest, 1 - minimum_sensitivity if "minimum_sensitivity" in self.options else 1.0

    def __call__(
        self,
        y_true:              np.ndarray,                        # [N] int
        probabilities:       np.ndarray,                        # [N, K] float
        *,
        weights:             np.ndarray | None    = None,       # [N] or [B, N]
        positive:            Sequence[int]        = (),         # indices of the positive classes
        threshold:           float | np.ndarray | None = None,  # on their summed probability; [N] where each image has its own
        classes:             Sequence[int] | None = None,       # classes of a macro average; default: all
        minimum_sensitivity: float                = 0.8,        # the partial area lies above it
    ) -> float | np.ndarray:
        """The measure's value, [B] with weights [B, N]."""
        given = {"positive": positive, "threshold": threshold, "classes": classes, "minimum_sensitivity": minimum_sensitivity}
        return self.function(y_true, probabilities, weights=weights, **{name: given[name] for name in self.options})


_AVERAGED, _RANKED, _CALLED = ("classes",), ("positive",), ("positive", "threshold")
_PARTIAL = ("positive", "minimum_sensitivity")

MEASURES = {measure.name: measure for measure in (
    Measure("auroc",                      "AUROC (mean over classes)",             auroc,                      "classes",   _AVERAGED),
    Measure("auroc_positive",             "AUROC (positive classes)",              auroc_positive,             "both",      _RANKED),
    Measure("partial_auroc",              "partial AUROC at high sensitivity",     partial_auroc,              "both",      _PARTIAL),
    Measure("average_precision",          "average precision (mean over classes)", average_precision,          "classes",   _AVERAGED),
    Measure("average_precision_positive", "average precision (positive classes)",  average_precision_positive, "both",      _RANKED),
    Measure("macro_f1",                   "macro F1",                              macro_f1,                   "classes",   _AVERAGED),
    Measure("balanced_accuracy",          "balanced accuracy",                     balanced_accuracy,          "classes",   _AVERAGED),
    Measure("accuracy",                   "accuracy",                              accuracy,                   "images",    ()),
    Measure("cohen_kappa",                "Cohen's kappa",                         cohen_kappa,                "images",    (), True, -1.0),
    Measure("brier",                      "Brier score",                           brier,                      "images",    _RANKED, False),
    Measure("sensitivity",                "sensitivity",                           sensitivity,                "positives", _CALLED),
    Measure("specificity",                "specificity",                           specificity,                "negatives", _CALLED),
    Measure("precision",                  "precision (positive classes)",          precision,                  "both",      _CALLED),
    Measure("f1",                         "F1 (positive classes)",                 f1,                         "both",      _CALLED),
)}


def get_measure(name: str) -> Measure:
    """The measure called `name`. Raises ValueError that lists the known ones and names the closest."""
    return look_up("metric", name, MEASURES)
