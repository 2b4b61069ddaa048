"""Did it help: one word and one sentence on each comparison that a study declared before it ran.

The word follows from where the interval of the difference lies (Walker & Nowacki 2011, J. Gen. Intern. Med. 26:192):

    wholly inside ± margin              equivalent     (also when it leaves zero out: too small to matter, and the sentence says so)
    wholly on the good side of zero     better
    wholly on the bad side of zero      worse
    anything else                       cannot tell

A 95 % interval makes the equivalence test one of size 2.5 %, stricter than the customary two one-sided tests at 5 %.

Several declared comparisons give chance several goes, so Holm's correction (1979, Scand. J. Stat. 6:65) runs over them, over the
p-values of the differences and over those of the equivalence tests alike: a word other than "cannot tell" needs an adjusted
p-value under 1 − confidence (half of it for the one-sided equivalence). With one comparison this changes nothing, since
p-values invert the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from lib.metrics.estimate import Estimate
from lib.metrics.registry import MEASURES
from lib.stats.compare import check_arm, contrast
from lib.stats.evaluation import ALL, Evaluation
from lib.stats.interval import Uncertainty
from lib.stats.multiplicity import holm
from lib.stats.verdict_words import describe
from lib.study import Primary

Kind = Literal["better", "worse", "equivalent", "cannot tell"]

_COLUMNS = ["metric", "group", "arm", "baseline", "architecture", "margin", "arm_value", "baseline_value", "value", "low", "high",
            "p_value", "p_adjusted", "p_equivalence", "p_equivalence_adjusted", "kind", "n_images", "n_clusters", "n_positives",
            "seeds", "note"]


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
    p_value:        float           # two-sided, of no difference; NaN where not estimable
    p_adjusted:     float           # Holm over the declared comparisons
    p_equivalence:  float           # two one-sided tests, of a difference of at least the margin
    p_equivalence_adjusted: float   # Holm over the declared comparisons
    declared:       int  = 1        # how many comparisons were declared
    note:           str  = ""       # classes left out of a mean, classes with few images

    def lies_beyond(self, limit: float = 0.0) -> bool:
        """Whether the whole interval is further from zero than `limit`, on one side; False where there is none."""
        return lies_beyond(self.difference.low, self.difference.high, limit)

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
    """The verdict on a study's only declared comparison; with several architectures on their mean. Raises as `give_verdicts` does."""
    return give_verdicts(evaluation, [primary])[0]


def give_verdicts(
    evaluation: Evaluation,
    primaries:  Sequence[Primary],    # all that were declared
) -> list[Verdict]:
    """The verdicts on the declared comparisons, in their order, corrected for their number.

    Raises ValueError when a metric was not evaluated, or a group or an arm is not in the table.
    """
    found = [declared_difference(evaluation, primary) for primary in primaries]
    p = np.array([one.p_value() for one in found])
    p_equivalence = np.array([one.p_within(primary.margin) for one, primary in zip(found, primaries, strict=True)])
    tests = zip(p, holm(p), p_equivalence, holm(p_equivalence), strict=True)
    return [_verdict(evaluation, primary, one, [float(x) for x in four], len(found))
            for primary, one, four in zip(primaries, found, tests, strict=True)]


def declared(
    evaluation: Evaluation,
    primaries:  Sequence[Primary],    # all that were declared
) -> pd.DataFrame:
    """The verdicts as a table, a row per declared comparison in their order.

    Columns: metric, group, arm, baseline, architecture, margin, arm_value, baseline_value, value, low, high, p_value,
    p_adjusted (Holm), p_equivalence (two one-sided tests against ± margin), p_equivalence_adjusted (Holm), kind (the word),
    n_images, n_clusters, n_positives, seeds, note.
    """
    rows = []
    for verdict in give_verdicts(evaluation, primaries):
        one = verdict.difference
        note = f"not estimable: {one.reason}" if one.reason else verdict.note
        rows.append({**vars(verdict), "value": one.value, "low": one.low, "high": one.high, "note": note})
    return pd.DataFrame(rows, columns=_COLUMNS).astype({name: "Int64" for name in ("n_images", "n_clusters", "n_positives", "seeds")})


def declared_difference(evaluation: Evaluation, primary: Primary) -> Uncertainty:
    """Arm minus baseline as declared, on the mean over architectures. Raises ValueError when the evaluation does not hold it."""
    metric, group = primary.metric, primary.group or ALL
    if metric not in evaluation.metrics:
        raise ValueError(f"the primary metric {metric} was not evaluated; evaluated are {', '.join(evaluation.metrics)}")
    if group not in [ALL, *evaluation.groups]:
        raise ValueError(f"the primary group {group} was not evaluated; groups are {', '.join(evaluation.groups)}")
    for arm in (primary.arm, primary.baseline):
        check_arm(evaluation, arm)
    if primary.arm == primary.baseline:
        raise ValueError(f"arm {primary.arm} is compared with itself; name two arms (statistics.primary)")
    return contrast(evaluation, evaluation.architectures[0], metric, group, {primary.arm: 1, primary.baseline: -1})


def _verdict(evaluation: Evaluation, primary: Primary, found: Uncertainty, tests: list[float], count: int) -> Verdict:
    """One verdict; `tests` are p, adjusted p, equivalence p, adjusted equivalence p."""
    metric, group, architecture = primary.metric, primary.group or ALL, evaluation.architectures[0]
    support = evaluation.support[metric, group]
    values = [float("nan")] * 2 if support.reason else [
        evaluation.of(arm, architecture, evaluation.key(metric, group)) for arm in (primary.arm, primary.baseline)]
    difference = found.estimate(evaluation.confidence, n=support.n_images)
    kind = judge(difference.low, difference.high, primary.margin, higher_is_better=MEASURES[metric].higher_is_better)
    level = 1 - evaluation.confidence
    lost = (tests[1] >= level) if kind in ("better", "worse") else (tests[3] >= level / 2) if kind == "equivalent" else False
    verdict = Verdict(
        kind="cannot tell" if lost and count > 1 else kind, sentence="", metric=metric, group=group, arm=primary.arm,
        baseline=primary.baseline, architecture=architecture, margin=primary.margin, difference=difference, arm_value=values[0],
        baseline_value=values[1], n_images=support.n_images, n_clusters=support.n_clusters, n_positives=support.n_positives,
        seeds=found.trainings, p_value=tests[0], p_adjusted=tests[1], p_equivalence=tests[2], p_equivalence_adjusted=tests[3],
        declared=count, note=support.note,
    )
    return replace(verdict, sentence=describe(verdict, alone=kind))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and value != value else value
