"""The declared comparisons under three readings of actinic keratosis: malignant, benign, left out (DECISIONS 6).

Sources disagree on whether it is to be acted on. Nothing is trained again: the same predictions are scored against another truth. What is
asked is whether the images to act on get a higher probability of being acted on, by a measure of ranking, since a threshold that was chosen
under one reading means nothing under another. The probability is the sum over the positive classes. A class that consists of actinic
keratosis alone goes with its images: it joins the positive classes or leaves them; where its images are left out, the other classes share
out its probability (they are divided by what is left).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from lib.data.conditions import ACTINIC_KERATOSIS
from lib.data.keyword_rules import RULES, first_rule
from lib.stats.evaluate import evaluate
from lib.stats.verdict import declared
from lib.study import Primary

READINGS = ("malignant", "benign", "exclude")
RANKING = ("auroc_positive", "average_precision_positive", "partial_auroc")    # measures of ranking that ask what to act on
OTHERS, ACT = "others", "act now"
_FIRST = ["reading", "own", "keratosis"]


def is_actinic_keratosis(diagnosis: str) -> bool:
    """Whether a data set's own word means actinic keratosis: by the table of conditions or by the keyword rules, however it is spelled."""
    number = first_rule(diagnosis)
    return number is not None and RULES[number].meaning.condition == ACTINIC_KERATOSIS


def named_keratosis(conditions: Mapping[str, Mapping[str, str]]) -> set[str]:
    """The diagnoses that a study itself calls actinic keratosis (labels.conditions: source → diagnosis → condition)."""
    return {diagnosis for words in conditions.values() for diagnosis, word in words.items() if word == ACTINIC_KERATOSIS}


def read_again(
    predictions: pd.DataFrame,              # the `predictions` table
    keratosis:   np.ndarray,                # [rows] bool, the rows of images of actinic keratosis
    *,
    classes:     Sequence[str],
    positive:    Sequence[str],             # labels to act on, as the study has them
    reading:     str,                       # of READINGS
) -> pd.DataFrame:
    """The table with two classes (OTHERS, ACT), under one reading.

    Raises ValueError for an unknown reading, and where no class is left to act on.
    """
    if reading not in READINGS:
        raise ValueError(f"reading {reading!r}; expected {', '.join(READINGS)}")
    truth = predictions["y_true"].to_numpy()
    whole = [k for k in range(len(classes)) if (truth == k).any() and keratosis[truth == k].all()]
    chosen = {k for k, name in enumerate(classes) if name in positive} - set(whole) | (set(whole) if reading == "malignant" else set())
    if not chosen:
        raise ValueError("no class is left to act on")
    p = predictions[[f"p_{k}" for k in range(len(classes))]].to_numpy(dtype=float)
    score = p[:, sorted(chosen)].sum(axis=1)
    act = np.isin(truth, sorted(chosen))
    if reading == "exclude":
        score = score / np.maximum(1 - p[:, whole].sum(axis=1), np.finfo(float).tiny)
    else:
        act = np.where(keratosis, reading == "malignant", act)
    score = np.clip(score, 0, 1)
    table = predictions.drop(columns=[name for name in predictions.columns if str(name).startswith("p_")])
    table = table.assign(y_true=act.astype(np.int16), p_0=1 - score, p_1=score, threshold=np.nan)
    return table[~keratosis] if reading == "exclude" else table


def readings(
    predictions: pd.DataFrame,
    primaries:   Sequence[Primary],
    *,
    classes:     Sequence[str],
    positive:    Sequence[str],
    groups:      Sequence[str],
    also:        Collection[str]               = (),      # further words for it, of `named_keratosis`
    resamples:   int                           = 2_000,
    confidence:  float                         = 0.95,
    seed:        int                           = 0,
    minimum_positives:   int                   = 20,
    minimum_sensitivity: float                 = 0.8,
    progress:    Callable[[float], None] | None = None,   # told the share done, 0–1
) -> pd.DataFrame:
    """What is declared, judged under each reading: the columns of `lib.stats.verdict.declared`, with reading, own and keratosis in front.

    `own` marks the study's reading, `keratosis` counts the test images that are read one way or the other. A comparison keeps its
    measure where that is one of RANKING, else `auroc_positive` takes its place; Holm's correction runs within a reading. Empty where no
    test image is of actinic keratosis, or the study names nothing to act on. A reading under which nothing is left to act on has no row.
    """
    keratosis = predictions["diagnosis"].map({name: is_actinic_keratosis(name) or name in also
                                              for name in predictions["diagnosis"].unique()}).to_numpy(dtype=bool)
    test = (predictions["split"] == "test").to_numpy()
    images, parts = predictions.loc[keratosis & test, "image_id"].nunique(), []
    asked = [one.model_copy(update={"metric": one.metric if one.metric in RANKING else RANKING[0]}) for one in primaries]
    asked = [one for i, one in enumerate(asked) if _compared(one) not in map(_compared, asked[:i])]
    own = _own(predictions.loc[keratosis & test, "y_true"], classes, positive)
    arms = list(dict.fromkeys(arm for one in asked for arm in (one.baseline, one.arm)))
    for number, reading in enumerate(READINGS if images and positive else ()):
        try:
            table = read_again(predictions, keratosis, classes=classes, positive=positive, reading=reading)
        except ValueError:
            continue
        evaluation = evaluate(
            table, [one.metric for one in asked], classes=[OTHERS, ACT], positive=[ACT], arms=arms, groups=groups, resamples=resamples,
            confidence=confidence, seed=seed, minimum_positives=minimum_positives, minimum_sensitivity=minimum_sensitivity,
            progress=progress and (lambda share, done=number: progress((done + share) / len(READINGS))),
        )
        found = declared(evaluation, asked)
        parts.append(found.assign(reading=reading, own=reading == own, keratosis=images))
    if not parts:
        return pd.DataFrame(columns=[*_FIRST, "metric", "group", "arm", "baseline", "value", "low", "high", "kind", "note"])
    table = pd.concat(parts, ignore_index=True)
    return table[[*_FIRST, *(name for name in table.columns if name not in _FIRST)]]


def _compared(primary: Primary) -> tuple:
    return primary.metric, primary.group, primary.arm, primary.baseline


def _own(truth: pd.Series, classes: Sequence[str], positive: Sequence[str]) -> str:
    """The study's own reading: where all its images of actinic keratosis are; "" where they are on both sides."""
    sides = {classes[k] in positive for k in truth.unique()}
    return "" if len(sides) != 1 else "malignant" if sides.pop() else "benign"
