"""Did it help: one word and one sentence on the comparison a study declared before it ran.

The word follows from where the interval of the difference lies (Walker & Nowacki 2011, J. Gen. Intern. Med. 26:192):

    wholly inside ± margin              equivalent     (also when it leaves zero out: too small to matter, and the sentence says so)
    wholly on the good side of zero     better
    wholly on the bad side of zero      worse
    anything else                       cannot tell

A 95 % interval makes the equivalence test one of size 2.5 %, stricter than the customary two one-sided tests at 5 %.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from lib.metrics.estimate import Estimate, number
from lib.metrics.registry import MEASURES
from lib.stats.compare import check_arm
from lib.stats.evaluate import ALL, Evaluation
from lib.study import Primary

FEW_SEEDS = 5    # fewer training runs understate how much training again would change (lib/stats/bootstrap.py has the figures)

Kind = Literal["better", "worse", "equivalent", "cannot tell"]


@dataclass(frozen=True)
class Verdict:
    """The answer, the sentence that says it, and the numbers it was computed from."""

    kind:           Kind
    sentence:       str
    metric:         str
    group:          str             # "all": everybody
    arm:            str
    baseline:       str
    architecture:   str             # "all": mean over several
    margin:         float
    difference:     Estimate        # arm minus baseline
    arm_value:      float
    baseline_value: float
    n_images:       int
    n_clusters:     int
    n_positives:    int | None
    seeds:          int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return _plain(asdict(self))


def judge(
    low:              float,          # interval of the difference, arm minus baseline
    high:             float,
    margin:           float,          # > 0, a smaller difference does not matter
    *,
    higher_is_better: bool = True,
) -> Kind:
    """The word alone, from the table in the module's text; NaN → cannot tell. Raises ValueError when margin ≤ 0 or low > high."""
    if not margin > 0 or low > high:
        raise ValueError(f"expected margin > 0 and low ≤ high; got margin={margin:g}, interval {low:g} to {high:g}")
    if np.isnan(low) or np.isnan(high):
        return "cannot tell"
    if not higher_is_better:
        low, high = -high, -low
    if -margin < low and high < margin:
        return "equivalent"
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "cannot tell"


def lies_beyond(
    low:   float,
    high:  float,
    limit: float = 0.0,         # ≥ 0
) -> bool:
    """Whether every point of an interval is further from zero than `limit`, all on one side; with 0: whether it leaves zero out."""
    return low > limit or high < -limit


def give_verdict(
    evaluation: Evaluation,
    primary:    Primary,        # metric, group, arm, baseline, margin
) -> Verdict:
    """The verdict on the declared comparison; with several architectures on their mean.

    Raises ValueError when the metric was not evaluated, or the group or an arm is not in the table.
    """
    metric, group = primary.metric, primary.group or ALL
    if metric not in evaluation.metrics:
        raise ValueError(f"the primary metric {metric} was not evaluated; evaluated are {', '.join(evaluation.metrics)}")
    if group not in [ALL, *evaluation.groups]:
        raise ValueError(f"the primary group {group} was not evaluated; groups are {', '.join(evaluation.groups)}")
    for arm in (primary.arm, primary.baseline):
        check_arm(evaluation, arm)
    support, architecture = evaluation.support[metric, group], evaluation.architectures[0]
    arm_value = baseline_value = float("nan")
    if support.reason:
        difference = Estimate.missing(support.reason, n=support.n_images, confidence=evaluation.confidence)
    else:
        key = evaluation.key(metric, group)
        arm_value, baseline_value = (evaluation.of(arm, architecture, key) for arm in (primary.arm, primary.baseline))
        difference = Estimate.from_draws(
            evaluation.draws_of(primary.arm, architecture, key) - evaluation.draws_of(primary.baseline, architecture, key),
            value=arm_value - baseline_value, confidence=evaluation.confidence, n=support.n_images,
        )
    kind = judge(difference.low, difference.high, primary.margin, higher_is_better=MEASURES[metric].higher_is_better)
    parts = dict(
        kind=kind, metric=metric, group=group, arm=primary.arm, baseline=primary.baseline, architecture=architecture, margin=primary.margin,
        difference=difference, arm_value=arm_value, baseline_value=baseline_value, n_images=support.n_images,
        n_clusters=support.n_clusters, n_positives=support.n_positives, seeds=len(evaluation.predictions.seeds),
    )
    return Verdict(sentence=describe(**parts, note=support.note), **parts)


def describe(
    *,
    kind:           Kind,
    metric:         str,
    group:          str,
    arm:            str,
    baseline:       str,
    margin:         float,
    difference:     Estimate,
    arm_value:      float,
    baseline_value: float,
    n_images:       int,
    n_clusters:     int,
    seeds:          int,
    note:           str = "",
    **_:            object,         # the other numbers of a verdict, which the sentence has no use for
) -> str:
    """The verdict in plain English, to be read aloud."""
    title, whom = MEASURES[metric].title, "everybody" if group == ALL else f"group {group}"
    opening = {"better": "Better", "worse": "Worse", "equivalent": "Equivalent", "cannot tell": "Cannot tell"}[kind]
    question = f"{title} for {whom}, arm {arm} against arm {baseline}"
    if not difference.estimable:
        return f"{opening}: {question}, is not estimable ({difference.reason})."
    middle = f"{number(arm_value)} against {number(baseline_value)}, a difference of {number(difference.value, signed=True)}"
    interval = f"{100 * difference.confidence:g} % interval {number(difference.low, signed=True)} to {number(difference.high, signed=True)}"
    runs = f"{seeds} training {'run' if seeds == 1 else 'runs'} per arm"
    basis = f"{n_images:,} test images of {n_clusters:,} independent patients or lesions, {runs}"
    sentence = f"{opening}: {question}, is {middle} ({interval}; {basis}). {_meaning(kind, difference, margin)}"
    if seeds == 1:
        sentence += " With one training run per arm, the interval leaves out how much training again would change."
    elif seeds < FEW_SEEDS:
        sentence += f" With only {seeds} training runs per arm, the interval is likely to be somewhat too narrow."
    return sentence + (f" {note[0].upper()}{note[1:]}." if note else "")


def _meaning(kind: Kind, difference: Estimate, margin: float) -> str:
    """What the place of the interval means for the reader."""
    low, high, limit = difference.low, difference.high, f"the {margin:g} declared as too small to matter"
    if kind == "equivalent":
        real = ", though it is probably not zero" if lies_beyond(low, high) else ""
        return f"The whole interval is within {limit}{real}."
    if kind == "cannot tell":
        return f"The interval holds no difference at all as well as differences past {limit}: these data cannot decide."
    if lies_beyond(low, high, margin):
        return f"The whole interval lies beyond {limit}."
    return f"The interval leaves out zero, but not differences smaller than {limit}."


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and value != value else value
