"""Is there enough to measure: what a measure rests on in one group, or the reason why it is not estimable.

DECISIONS 25: fewer than 20 positives → "not estimable", never a number. For a mean over classes the rule needs two parts:

* A class whose images come from fewer than five clusters (patients) in a group is left out of the mean and named: resampling three
  patients says nothing about a fourth. The same classes are left out for every arm, so arms stay comparable; groups are
  compared only over classes that all of them keep.
* What is left must be as precise as 20 positives of one class would be. A mean over K classes of n₁ … n_K images has
  the sampling variance of K² / Σ 1/n_k positives (variance ∝ 1/n each, averaged), so seven classes of six images pass (42) and three
  classes of five do not (15). With two classes both one-vs-rest questions are the same one: then the smaller class must reach 20.
  This departs from the letter of the rule, so classes of the mean that have fewer than 20 images are named beside the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.metrics.registry import Measure

FEW_CLUSTERS = 5    # a class or kind of image from fewer patients than this cannot be resampled meaningfully


@dataclass(frozen=True)
class Support:
    """What a measure rests on in one group."""

    n_images:    int
    n_clusters:  int
    n_positives: int | None                 # images of the positive classes; of the smallest class kept; None for accuracy
    classes:     tuple[int, ...] = ()       # classes kept in a mean over classes
    note:        str             = ""       # classes left out, classes kept that have few images
    reason:      str             = ""       # why it is not estimable; empty when it is


def count_support(
    measure:           Measure,
    y_true:            np.ndarray,            # [n] int, the group's images
    clusters:          np.ndarray,            # [n] their clusters
    *,
    classes:           list[str],             # all class names
    positive:          list[int],             # indices of the positive classes
    minimum_positives: int,
) -> Support:
    """Count, and apply the minimum-n rule above (with `minimum_positives` under five, that many clusters are enough)."""
    few = min(FEW_CLUSTERS, minimum_positives)
    n, n_clusters = len(y_true), len(np.unique(clusters))
    if not n:
        return Support(0, 0, None if measure.rests_on == "images" else 0, reason="no images")
    if measure.rests_on == "classes":
        images, patients = _count_classes(y_true, clusters, len(classes))
        kept = [k for k in range(len(classes)) if patients[k] >= few]
        left_out = ", ".join(f"{classes[k]} {images[k]}" for k in range(len(classes)) if k not in kept)
        note = "; ".join(filter(None, [
            f"mean over {len(kept)} of {len(classes)} classes; images of those left out: {left_out}" if left_out else "",
            name_small_classes(y_true, kept, classes=classes, minimum_positives=minimum_positives),
        ]))
        reason = classes_reason(y_true, kept, classes=classes, minimum_positives=minimum_positives, few=few)
        return Support(n, n_clusters, int(min((images[k] for k in kept), default=images.min())), tuple(kept), note, reason)
    if measure.rests_on == "images":
        return Support(n, n_clusters, None, reason=_too_few("images", n, n_clusters, minimum_positives, few))
    if not positive:
        return Support(n, n_clusters, None, reason="the study names no positive classes in labels.positive")
    is_positive = np.isin(y_true, positive)
    reasons = [
        _too_few(kind, int(mask.sum()), len(np.unique(clusters[mask])), minimum_positives, few)
        for kind, mask in (("positives", is_positive), ("negatives", ~is_positive))
        if measure.rests_on in (kind, "both")
    ]
    return Support(n, n_clusters, int(is_positive.sum()), reason="; ".join(filter(None, reasons)))


def count_class_support(
    measure:           Measure,               # a mean over classes
    y_true:            np.ndarray,            # [n] int, the group's images
    clusters:          np.ndarray,            # [n] their clusters
    label:             int,                   # the one class that is looked at, against all others
    *,
    classes:           list[str],
    minimum_positives: int,
) -> Support:
    """The rule for one class of a mean: enough images of it, and of the others, from enough patients."""
    found = count_support(replace(measure, rests_on="both"), y_true, clusters, classes=classes, positive=[label],
                          minimum_positives=minimum_positives)
    return replace(found, classes=(label,))


def classes_reason(
    y_true:            np.ndarray,     # [n] int
    kept:              list[int],      # classes of the mean
    *,
    classes:           list[str],
    minimum_positives: int,
    few:               int = FEW_CLUSTERS,
) -> str:
    """Why a mean over the classes `kept` is not estimable; empty when it is."""
    if len(kept) < 2:
        return f"{len(kept)} of {len(classes)} classes have images of {few} patients or lesions, needs 2"
    images = np.bincount(y_true, minlength=len(classes))[kept]
    worth = images.min() if len(classes) == 2 else len(kept) ** 2 / np.sum(1 / images)
    if worth >= minimum_positives:
        return ""
    if len(classes) == 2:
        return f"{images.min()} positives, needs {minimum_positives}"
    return f"{len(kept)} classes of {images.min()} to {images.max()} images, worth {worth:.0f} positives, needs {minimum_positives}"


def name_small_classes(
    y_true:            np.ndarray,     # [n] int
    kept:              Sequence[int],  # classes of the mean
    *,
    classes:           Sequence[str],
    minimum_positives: int,
) -> str:
    """The classes of the mean that have fewer images than one class alone would need, with their images; empty without any."""
    images = np.bincount(y_true, minlength=len(classes))
    small = ", ".join(f"{classes[k]} ({images[k]})" for k in kept if images[k] < minimum_positives)
    return f"classes with fewer than {minimum_positives} images: {small}" if small else ""


def kinds_of(
    measure:  Measure,
    y_true:   np.ndarray,       # [n] int
    *,
    classes:  Sequence[int],    # of a mean over classes; a single one stands against all others
    positive: Sequence[int],    # indices of the positive classes
) -> list[np.ndarray]:
    """The kinds of images that a measure contrasts or averages, [n] bool each: what must be drawn often enough for an interval."""
    if measure.rests_on == "classes":
        return [y_true == k for k in classes] + ([y_true != classes[0]] if len(classes) == 1 else [])
    if measure.rests_on == "images":
        return [np.ones(len(y_true), dtype=bool)]
    is_positive = np.isin(y_true, positive)
    return [mask for kind, mask in (("positives", is_positive), ("negatives", ~is_positive)) if measure.rests_on in (kind, "both")]


def _too_few(kind: str, images: int, patients: int, minimum: int, few: int) -> str:
    if images < minimum:
        return f"{images} {kind if images != 1 else kind[:-1]}, needs {minimum}"
    return f"{kind} of only {patients} patients or lesions, needs {few}" if patients < few else ""


def _count_classes(y_true: np.ndarray, clusters: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and clusters of each class, [K] each."""
    patients = [len(np.unique(clusters[y_true == k])) for k in range(count)]
    return np.bincount(y_true, minlength=count), np.array(patients)
