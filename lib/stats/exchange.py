"""How many more collected images a set of added ones is worth: each arm's place on the real arm's learning curve.

Everything is measured under the same resampled patients (lib/stats/bootstrap.py) and the same seeds; lib/stats/learning_curve.py says
how a place on the curve and its interval are found. Predicted rates are read off the curve below all training patients (fractions under
1, extrapolated to at most 4), measured ones off trainings on more real images, where a reserve holds them (fractions over 1, not
extrapolated). A place at f is worth f − 1 times the training images of the cell (class × group): so many more of them, the others
growing alike, do as much. What no interval here holds is said in ONE_ORDER, which the tables of rates carry as `attrs["note"]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from lib.metrics.registry import MEASURES
from lib.stats.evaluate import evaluate
from lib.stats.evaluation import ALL, Evaluation, Key, Term
from lib.stats.interval import Uncertainty
from lib.stats.learning_curve import LearningCurve, Worth
from lib.stats.slices import rows_of
from lib.stats.support import Support, count_class_support

FURTHEST = 4.0           # a curve below all training patients is not believed further than this
REAL     = "real"        # the arm whose curve it is
Side     = Literal["below", "above"]     # all training patients

ONE_ORDER = ("The curve's smaller sets of training patients are nested and chosen once for the study, so its intervals leave out that "
             "other patients might have been in them.")

_WORD    = {"below": "under", "above": "over"}

_COUNTS  = ["n_real", "n_added", "n_images", "n_clusters", "n_positives", "seeds"]
_NUMBERS = ["gain", "gain_low", "gain_high", "fraction", "low", "high", "limit", "exponent", "images", "images_low", "images_high"]
_COLUMNS = ["arm", "metric", "label", "group", *_NUMBERS, "kind", *_COUNTS, "reason"]


class Place(NamedTuple):
    """A cell of the exchange table: a class, a group, both, or everybody."""

    label: str          # "all": every class
    group: str          # "all": everybody


def evaluate_with_curve(
    predictions: pd.DataFrame,          # the `predictions` table
    metric:      str,                   # of the first declared comparison
    *,
    classes:     Sequence[str],         # class order, from the file's metadata
    arms:        Sequence[str],         # held against the curve; the real arm is added where it is missing
    **options:   Any,                   # of lib.stats.evaluate.evaluate: positive, groups, resamples, confidence, seed, …
) -> Evaluation:
    """Measure the arms and the real arm at every fraction, each fraction as an arm of its own, also class by class.

    Raises ValueError as `evaluate` does.
    """
    curve = predictions["arm"].eq(REAL) & predictions["train_fraction"].ne(1)
    fractions = sorted(predictions.loc[curve, "train_fraction"].unique())
    named = predictions["arm"].astype(object).mask(curve, predictions["train_fraction"].map(point))
    table = predictions.assign(arm=named, train_fraction=predictions["train_fraction"].mask(curve, 1.0))
    wanted = dict.fromkeys([REAL, *arms, *map(point, fractions)])
    return evaluate(table, [metric], classes=classes, arms=list(wanted), by_class=True, **options)


def point(fraction: float) -> str:
    """What the real arm at a fraction is called in an evaluation with a curve: `real@0.25`."""
    return f"{REAL}@{fraction:g}"


def fractions_of(evaluation: Evaluation) -> list[float]:
    """The fractions of the curve, ascending, 1 among them."""
    return sorted([1.0, *(float(arm.partition("@")[2]) for arm in evaluation.predictions.arms if arm.startswith(f"{REAL}@"))])


def arms_of(evaluation: Evaluation) -> list[str]:
    """The arms that are held against the curve."""
    return [arm for arm in evaluation.predictions.arms if arm != REAL and not arm.startswith(f"{REAL}@")]


def places_of(evaluation: Evaluation) -> list[Place]:
    """Everybody first, then each group; then the same for each class, where the measure looks at classes."""
    labels = evaluation.predictions.classes if MEASURES[evaluation.metrics[0]].rests_on == "classes" else ()
    return [Place(label, group) for label in (ALL, *labels) for group in (ALL, *evaluation.groups)]


def image_counts(
    metrics: Iterable[Mapping[str, Any]],      # metrics.json of every chunk of 07
) -> pd.DataFrame:
    """Images that each arm trains on: arm, label, group ("unknown" where none is known), real, added; with folds their mean."""
    rows = [{"arm": one["cells"][0]["arm"], "label": row["label"], "group": row["group"], "fold": one["cells"][0].get("fold", 0),
             "real": row["real"], "added": row["added"]}
            for one in metrics if one["cells"][0].get("fraction", 1) == 1 for row in one["drawn"]]
    table = pd.DataFrame(rows, columns=["arm", "label", "group", "fold", "real", "added"]).drop_duplicates()
    folds = max(1, table["fold"].nunique())
    table = table.drop_duplicates(["arm", "label", "group", "fold"])          # chunks of other seeds and networks train on the same
    return table.groupby(["arm", "label", "group"], sort=False)[["real", "added"]].sum().div(folds).round().astype(int).reset_index()


def curve_points(
    evaluation: Evaluation,             # of evaluate_with_curve
) -> pd.DataFrame:
    """What the real arm does at every fraction: label, group, fraction, value, low, high, reason."""
    rows = []
    for place in places_of(evaluation):
        key, support = _key(evaluation, place)
        for fraction in fractions_of(evaluation):
            arm = REAL if fraction == 1 else point(fraction)
            found = Uncertainty.missing(support.reason, trainings=0) if support.reason else (
                evaluation.uncertainty(evaluation.architectures[0], [Term(1, arm, key)]))
            low, high = found.interval(evaluation.confidence)
            rows.append({**place._asdict(), "fraction": fraction, "value": found.value, "low": low, "high": high, "reason": found.reason})
    return pd.DataFrame(rows)


def curve_of(
    evaluation: Evaluation,             # of evaluate_with_curve
    place:      Place,
    side:       Side = "below",
) -> LearningCurve | str:
    """The real arm's curve in a cell, on the mean over architectures; or why there is none."""
    key, support = _key(evaluation, place)
    fractions = tuple(f for f in fractions_of(evaluation) if (f < 1 if side == "below" else f > 1))
    needed = 2 if side == "below" else 1
    if support.reason:
        return support.reason
    if len(fractions) < needed:
        there = f"{len(fractions)} fraction{'' if len(fractions) == 1 else 's'}"
        return f"classifier.learning_curve has {there} {_WORD[side]} 1, needs {needed}"
    changes = [_change(evaluation, point(fraction), key) for fraction in fractions]
    return LearningCurve(fractions, np.stack([own for own, _ in changes], axis=1), np.stack([drawn for _, drawn in changes], axis=1),
                         evaluation.basis[key].degrees, evaluation.confidence, FURTHEST if side == "below" else fractions[-1])


def exchange_rates(
    evaluation: Evaluation,                          # of evaluate_with_curve
    counts:     pd.DataFrame,                        # of image_counts
    *,
    side:       Side                               = "below",   # predicted from fewer images, or measured with more
    progress:   Callable[[float], None] | None     = None,      # told the share done, 0–1
) -> pd.DataFrame:
    """A row per arm and cell (lib.stats.exchange.places_of), on the mean over architectures.

    gain is the arm minus the real one with its interval; fraction, low, high its place on the curve (± inf: beyond what the curve may be
    asked, its `limit`); exponent that of the curve (0: linear in log f); images, images_low, images_high what that is in training images
    of the cell; n_real those that there are and n_added those that the arm adds. kind: worth (the interval is over 1), costs (under 1),
    nothing shown (1 is inside), cannot tell (inside, and without an upper end) or not estimable (reason says why). attrs["note"] says what
    the intervals leave out.
    """
    rows, places = [], places_of(evaluation)
    for i, place in enumerate(places):
        curve = curve_of(evaluation, place, side)
        rows += [_row(evaluation, arm, place, curve, counts) for arm in arms_of(evaluation)]
        if progress:
            progress((i + 1) / len(places))
    whole = dict.fromkeys(_COUNTS, "Int64")
    table = pd.DataFrame(rows, columns=_COLUMNS).astype(whole | dict.fromkeys(_NUMBERS, float))
    order = {arm: i for i, arm in enumerate(arms_of(evaluation))}
    table = table.sort_values("arm", key=lambda arm: arm.map(order), kind="stable", ignore_index=True)
    table.attrs["note"] = ONE_ORDER
    return table


def check_rates(
    predicted: pd.DataFrame,            # of exchange_rates, side "below"
    measured:  pd.DataFrame,            # side "above", of the same evaluation
    most:      float,                   # the largest fraction trained
) -> pd.DataFrame:
    """Rows that both could estimate: arm, metric, label, group, predicted, predicted_low, predicted_high, measured, …, agree, closed.

    All in images of the cell. They agree where the measured rate lies in the predicted interval, both cut to what was measured: a fraction
    from 1 to `most`. Where neither finds the arm worth anything there is nothing to compare. closed: both intervals have both ends; one
    without an end agrees with almost anything.
    """
    keys = ["arm", "metric", "label", "group"]
    both = predicted.merge(measured, on=keys, suffixes=("", "_measured"))
    both = both[both["reason"].eq("") & both["reason_measured"].eq("") & ~(both["fraction"].le(1) & both["fraction_measured"].le(1))]
    cut = {name: both[name].clip(1, most) for name in ("low", "high", "fraction_measured")}
    names = {"images": "predicted", "images_low": "predicted_low", "images_high": "predicted_high", "images_measured": "measured",
             "images_low_measured": "measured_low", "images_high_measured": "measured_high"}
    agree = (cut["low"] <= cut["fraction_measured"]) & (cut["fraction_measured"] <= cut["high"])
    closed = np.isfinite(both[["low", "high", "low_measured", "high_measured"]].astype(float)).all(axis=1)
    return both[[*keys, "n_real", *names]].rename(columns=names).assign(agree=agree, closed=closed).reset_index(drop=True)


def check_curve(
    evaluation: Evaluation,             # of evaluate_with_curve
) -> pd.DataFrame:
    """Real images put to the test as if they were an arm: what does the curve below 1 say of the real arm on 1.5 or 2 times the images?

    label, group, fraction (that was trained), predicted, low, high, agree: whether it lies in the predicted interval, closed: whether that
    has both ends. Rows with a reason against the curve are left out.
    """
    rows = []
    for place in places_of(evaluation):
        curve, key = curve_of(evaluation, place), _key(evaluation, place)[0]
        for fraction in [f for f in fractions_of(evaluation) if f > 1 and not isinstance(curve, str)]:
            worth = _worth(evaluation, curve, point(fraction), key)
            if not worth.reason:
                rows.append({**place._asdict(), "fraction": fraction, "predicted": worth.value, "low": worth.low, "high": worth.high,
                             "agree": worth.low <= fraction <= worth.high, "closed": bool(np.isfinite([worth.low, worth.high]).all())})
    return pd.DataFrame(rows, columns=["label", "group", "fraction", "predicted", "low", "high", "agree", "closed"])


def _row(evaluation: Evaluation, arm: str, place: Place, curve: LearningCurve | str, counts: pd.DataFrame) -> dict:
    key, support = _key(evaluation, place)
    real, added = _images(counts, REAL, place, "real"), _images(counts, arm, place, "added")
    row = {"arm": arm, "metric": key.metric, **place._asdict(), "n_real": real, "n_added": added, "n_images": support.n_images,
           "n_clusters": support.n_clusters, "n_positives": support.n_positives, "seeds": len(evaluation.predictions.seeds), "reason": ""}
    if not support.reason:
        gain = _gain(evaluation, arm, key)
        row |= dict(zip(("gain", "gain_low", "gain_high"), (gain.value, *gain.interval(evaluation.confidence)), strict=True))
    worth = Worth.missing(curve) if isinstance(curve, str) else _worth(evaluation, curve, arm, key)
    if worth.reason:
        return row | {"kind": "not estimable", "reason": worth.reason}
    places = {"fraction": worth.value, "low": worth.low, "high": worth.high}
    images = {f"images{end}": (value - 1) * real for end, value in zip(("", "_low", "_high"), places.values(), strict=True)} if real else {}
    return row | places | images | {"limit": curve.limit, "exponent": curve.shape, "kind": _kind(worth)}


def _gain(evaluation: Evaluation, arm: str, key: Key) -> Uncertainty:
    """An arm minus the real one, as it is measured."""
    return evaluation.uncertainty(evaluation.architectures[0], [Term(1, arm, key), Term(-1, REAL, key)])


def _worth(evaluation: Evaluation, curve: LearningCurve, arm: str, key: Key) -> Worth:
    """An arm's place on the curve, with the pins of its gain."""
    sign = _sign(key)
    pins = tuple(replace(pin, side=sign * pin.side) for pin in _gain(evaluation, arm, key).pins)
    return curve.worth(*_change(evaluation, arm, key), pins)


def _kind(worth: Worth) -> str:
    if worth.low > 1 or worth.high < 1:
        return "worth" if worth.low > 1 else "costs"
    return "cannot tell" if math.isinf(worth.high) else "nothing shown"


def _key(evaluation: Evaluation, place: Place) -> tuple[Key, Support]:
    """What is measured in a cell, and what it rests on."""
    metric, table = evaluation.metrics[0], evaluation.predictions
    if place.label == ALL:
        return evaluation.key(metric, place.group), evaluation.support[metric, place.group]
    label, at = table.classes.index(place.label), rows_of(evaluation, place.group)
    return Key(metric, place.group, (label,)), count_class_support(
        MEASURES[metric], table.y_true[at], table.cluster_ids[at], label, classes=list(table.classes), minimum_positives=evaluation.minimum)


def _change(evaluation: Evaluation, arm: str, key: Key) -> tuple[np.ndarray, np.ndarray]:
    """An arm minus the real one, more being better: of each training [S], and under each resample [S, B]."""
    architecture, sign = evaluation.architectures[0], _sign(key)
    return (sign * (evaluation.by_seed(arm, architecture, key) - evaluation.by_seed(REAL, architecture, key)),
            sign * (evaluation.draws_of(arm, architecture, key) - evaluation.draws_of(REAL, architecture, key)))


def _sign(key: Key) -> int:
    """With which more is better."""
    return 1 if MEASURES[key.metric].higher_is_better else -1


def _images(counts: pd.DataFrame, arm: str, place: Place, kind: str) -> int:
    """Training images of the cell, or those that an arm adds to it; 0 where nothing is known."""
    mine = counts["arm"].eq(arm)
    if place.label != ALL:
        mine &= counts["label"].eq(place.label)
    if place.group != ALL:
        mine &= counts["group"].eq(place.group)
    return int(counts.loc[mine, kind].sum())
