"""The verdict paragraph: what was asked, what came out, whether it is fair, and what may speak against it. Computed, never typed in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from lib.classify.arms import find_arm
from lib.report.baselines import RANDOM, columns_of
from lib.report.comparisons import ALL, EVERYBODY, higher_is_better, is_estimable, names_of_groups, title_of
from lib.report.exchange import describe_exchange
from lib.report.fairness import FAIRER, LESS_FAIR, answer_of
from lib.report.readings import WORDS
from lib.report.words import capital, count, estimate, join, number, percent
from lib.stats.verdict import Verdict, lies_beyond
from lib.study import Primary

SAYS = {
    "better":      "is shown to be better than",
    "worse":       "is shown to be worse than",
    "equivalent":  "makes no difference that matters against",
    "cannot tell": "cannot be told from",
}
SIMPLER = ("classical", "oversampled")      # arms that need no generator: what generated images must be held against (DECISIONS 27)


def generated_arms(arms: Sequence[str]) -> list[str]:
    """Those that train on generated images."""
    return [name for name in arms if (arm := find_arm(name)).adds and not arm.collected]


def control_pairs(primaries: Sequence[Primary], arms: Sequence[str]) -> list[tuple[str, str]]:
    """Each declared arm with generated images against what else might explain it: simpler arms, and its random subset, where trained."""
    declared = generated_arms(list(dict.fromkeys(one.arm for one in primaries)))
    random = columns_of(arms, primaries[0].baseline).get(RANDOM, {})
    baselines = {(one.arm, one.baseline) for one in primaries}
    pairs = [(arm, other) for arm in declared for other in (*SIMPLER, random.get(arm)) if other in arms]
    return [pair for pair in pairs if pair not in baselines]


def conclude(
    verdicts:   Sequence[Verdict],
    *,
    fairness:   pd.DataFrame,           # of lib.stats.fairness.fairness_changes
    power:      pd.DataFrame,           # of lib.stats.power.power_of
    controls:   pd.DataFrame,           # of lib.stats.pairs.paired_differences: declared arms against arms without the generated images
    readings:   pd.DataFrame,           # of lib.stats.readings.readings
    exchange:   pd.DataFrame | None = None,     # of lib.stats.exchange.exchange_rates
    share:      float = 0.8,            # of repetitions that find a difference, as `power` was computed for
    notes:      Sequence[str] = (),     # what every reader must know about the data
) -> str:
    """One paragraph, each sentence of which follows from an interval or a count."""
    several = f"{count(len(verdicts), 'comparison')} {'was' if len(verdicts) == 1 else 'were'} declared before the run."
    return " ".join([several, *map(_answer, verdicts), *_controls(verdicts, controls), *_exchange(verdicts, exchange),
                     *_fairness(verdicts, fairness), *_power(verdicts, power, share), *_readings(readings), *_seeds(verdicts), *notes])


def _answer(verdict: Verdict) -> str:
    whom = EVERYBODY if verdict.group == ALL else verdict.group
    name = f"In {title_of(verdict.metric)} for {whom}, {verdict.arm}"
    if not verdict.difference.estimable:
        return f"{name} against {verdict.baseline} is not estimable ({verdict.difference.reason})."
    interval = estimate(verdict.difference.value, verdict.difference.low, verdict.difference.high)
    return f"{name} {SAYS[verdict.kind]} {verdict.baseline}: the difference is {interval}."


def _controls(verdicts: Sequence[Verdict], controls: pd.DataFrame) -> list[str]:
    """Whether a better arm is also better than arms that got something simpler: else the generated images are not what helped."""
    said = []
    for verdict in verdicts:
        if verdict.kind != "better":
            continue
        rows = controls[(controls["arm"] == verdict.arm) & (controls["metric"] == verdict.metric) & (controls["group"] == verdict.group)
                        & (controls["architecture"] == verdict.architecture)]
        known = [row for row in rows.itertuples() if is_estimable(row)]
        ahead = [row.baseline for row in known if lies_beyond(row.low, row.high) and (row.value > 0) == higher_is_better(row.metric)]
        rest = [f"{row.baseline} ({estimate(row.value, row.low, row.high)})" for row in known if row.baseline not in ahead]
        if ahead:
            said.append(f"{capital(verdict.arm)} is also ahead of {join(ahead)}.")
        if rest:
            said.append(f"It is not shown to be ahead of {join(rest)}, so the same may be had without it.")
    return said


def _exchange(verdicts: Sequence[Verdict], exchange: pd.DataFrame | None) -> list[str]:
    """What the declared arms are worth in collected images, in the groups that were declared."""
    if exchange is None:
        return []
    asked = dict.fromkeys((verdict.arm, verdict.group) for verdict in verdicts)
    rows = [exchange[(exchange["arm"] == arm) & (exchange["group"] == group) & (exchange["label"] == ALL)] for arm, group in asked]
    return [capital(describe_exchange(one)[0]) for one in rows if len(one)]


def _fairness(verdicts: Sequence[Verdict], fairness: pd.DataFrame) -> list[str]:
    """What the declared arms change in the gap, the worst group and equalised odds."""
    arms = list(dict.fromkeys(verdict.arm for verdict in verdicts))
    rows = fairness[fairness["arm"].isin(arms) & (fairness["architecture"] == verdicts[0].architecture)]
    rows = rows.rename(columns={"metric": "measure"})
    said, unsure = [], []
    for row in rows.itertuples():
        answer = answer_of(row)
        if answer in (FAIRER, LESS_FAIR):
            said.append(f"{capital(str(row.arm))} is {answer} than {row.baseline} in the {row.quantity} ({number(row.before)} → "
                        f"{number(row.after)}, change {estimate(row.value, row.low, row.high)}).")
        elif is_estimable(row):
            unsure.append(row)
    if unsure and not said:
        arms, quantities = (dict.fromkeys(getattr(row, name) for row in unsure) for name in ("arm", "quantity"))
        said.append(f"Whether {join(arms, last='or')} makes it fairer cannot be told: in {join(quantities)} every interval includes no "
                    "change.")
    return said


def _power(verdicts: Sequence[Verdict], power: pd.DataFrame, share: float) -> list[str]:
    """For comparisons without an answer: how large a difference would have been found."""
    said = []
    for verdict, row in zip(verdicts, names_of_groups(power).itertuples(), strict=True):
        if verdict.kind == "cannot tell" and pd.notna(row.detectable):
            most = "no difference" if math.isinf(row.detectable) else f"a difference of {number(row.detectable)}"
            said.append(f"A study of this size finds {most} in {title_of(row.metric)} for {row.group} {percent(share)} of the time; "
                        f"{verdict.margin:g} was declared to matter.")
    return said


def _readings(readings: pd.DataFrame) -> list[str]:
    """Whether the reading of actinic keratosis decides the answer."""
    if readings.empty:
        return []
    by = readings.groupby(["metric", "group", "arm", "baseline"], sort=False)["kind"].nunique()
    changed = [f"{arm} against {baseline}" for (_, _, arm, baseline), kinds in by.items() if kinds > 1]
    words = join([WORDS[name] for name in readings["reading"].unique()], last="or")
    if not changed:
        return [f"With actinic keratosis {words}, no answer changes."]
    return [f"In the ranking of what to act on, the answer on {join(dict.fromkeys(changed))} depends on whether actinic keratosis is "
            f"{words}."]


def _seeds(verdicts: Sequence[Verdict]) -> list[str]:
    seeds = min(verdict.seeds for verdict in verdicts)
    return ["All of it holds for these trained networks only, as there is one training per arm."] if seeds == 1 else []
