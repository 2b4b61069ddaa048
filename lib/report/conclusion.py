"""The verdict paragraph: what was asked, what came out, whether it is fair, and what may speak against it. Computed, never typed in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from lib.classify.arms import find_arm
from lib.report.baselines import RANDOM, columns_of, generated_arms
from lib.report.comparisons import ALL, EVERYBODY, higher_is_better, is_estimable, names_of_groups, p_value, title_of
from lib.report.exchange import describe_exchange
from lib.report.fairness import FAIRER, LESS_FAIR, answer_of
from lib.report.readings import WORDS
from lib.report.words import capital, count, estimate, join, number, percent
from lib.stats.verdict import Verdict, judge, lies_beyond
from lib.study import Primary

SAYS = {
    "better":      "is shown to be better than",
    "worse":       "is shown to be worse than",
    "equivalent":  "makes no difference that matters against",
    "cannot tell": "cannot be told from",
}
SIMPLER = ("classical", "oversampled")      # arms that need no generator: what generated images must be held against (DECISIONS 27)


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
    lists:      int   = 1,              # how many different declared lists these outputs were judged by, this one included
    notes:      Sequence[str] = (),     # what every reader must know about the data
) -> str:
    """One paragraph, each sentence of which follows from an interval or a count."""
    return " ".join([_declared(verdicts, lists), *map(_answer, verdicts), *_controls(verdicts, controls), *_exchange(verdicts, exchange),
                     *_fairness(verdicts, fairness), *_power(verdicts, power, share), *_readings(readings), *_drawn_once(verdicts),
                     *_seeds(verdicts), *notes])


def _declared(verdicts: Sequence[Verdict], lists: int) -> str:
    several = f"{count(len(verdicts), 'comparison')} {'was' if len(verdicts) == 1 else 'were'} declared"
    if lists == 1:
        return f"{several} before the run."
    return (f"{several}. These outputs were judged by {lists} different lists of comparisons, so none counts as declared before the run: "
            "take what follows as exploration.")


def _answer(verdict: Verdict) -> str:
    if not verdict.difference.estimable:
        return f"{_name(verdict)} against {verdict.baseline} is not estimable ({verdict.difference.reason})."
    interval = estimate(verdict.difference.value, verdict.difference.low, verdict.difference.high)
    said = f"{_name(verdict)} {SAYS[verdict.kind]} {verdict.baseline}: the difference is {interval}"
    if (alone := _lost(verdict)) is None:
        return f"{said}."
    within, p = (f", within {verdict.margin:g},", verdict.p_equivalence_adjusted) if alone == "equivalent" else ("", verdict.p_adjusted)
    return f"{said}{within} before correction for {verdict.declared} declared comparisons (adjusted {p_value(p)})."


def _name(verdict: Verdict) -> str:
    """The arm, with what it is measured in and for whom."""
    return f"In {title_of(verdict.metric)} for {EVERYBODY if verdict.group == ALL else verdict.group}, {verdict.arm}"


def _lost(verdict: Verdict) -> str | None:
    """The word that its own interval would give and Holm's correction took away; None where it took none."""
    alone = judge(verdict.difference.low, verdict.difference.high, verdict.margin, higher_is_better=higher_is_better(verdict.metric))
    return alone if verdict.kind == "cannot tell" != alone else None


def _controls(verdicts: Sequence[Verdict], controls: pd.DataFrame) -> list[str]:
    """Whether a better arm is also better than arms that got something simpler: else the generated images are not what helped."""
    said, against = [], {(one.arm, one.baseline) for one in verdicts} | set(zip(controls["arm"], controls["baseline"], strict=True))
    for verdict in verdicts:
        if verdict.kind != "better":
            continue
        rows = controls[(controls["arm"] == verdict.arm) & (controls["metric"] == verdict.metric) & (controls["group"] == verdict.group)
                        & (controls["architecture"] == verdict.architecture)]
        known = [row for row in rows.itertuples() if is_estimable(row)]
        ahead = [row.baseline for row in known if lies_beyond(row.low, row.high) and (row.value > 0) == higher_is_better(row.metric)]
        rest = [f"{row.baseline} ({estimate(row.value, row.low, row.high)})" for row in known if row.baseline not in ahead]
        rest += [f"{row.baseline} (not estimable)" for row in rows.itertuples() if not is_estimable(row)]
        if ahead:
            said.append(f"{_name(verdict)} is also ahead of {join(ahead)}.")
        if rest:
            said.append(f"{_name(verdict)} is not shown to be ahead of {join(rest)}, so the same may be had by simpler means.")
        if generated_arms([verdict.arm]) and not any((verdict.arm, simple) in against for simple in SIMPLER):
            said.append(f"{_name(verdict)} is better, but no simpler arm was trained beside it ({join(SIMPLER, last='or')}), so it is not "
                        "shown that generated images were needed.")
    return said


def _exchange(verdicts: Sequence[Verdict], exchange: pd.DataFrame | None) -> list[str]:
    """What the declared arms are worth in collected images, in the groups that were declared.

    Rates are not corrected, so where correction took an answer away none is given here: it would bring the answer back.
    """
    if exchange is None:
        return []
    lost = {(verdict.arm, verdict.group) for verdict in verdicts if _lost(verdict)}
    asked = [pair for pair in dict.fromkeys((verdict.arm, verdict.group) for verdict in verdicts) if pair not in lost]
    rows = [exchange[(exchange["arm"] == arm) & (exchange["group"] == group) & (exchange["label"] == ALL)] for arm, group in asked]
    return [capital(describe_exchange(one)[0]) for one in rows if len(one)]


def _fairness(verdicts: Sequence[Verdict], fairness: pd.DataFrame) -> list[str]:
    """What the declared arms change in the gap, the worst group and equalised odds."""
    arms = list(dict.fromkeys(verdict.arm for verdict in verdicts))
    rows = fairness[fairness["arm"].isin(arms) & (fairness["architecture"] == verdicts[0].architecture)]
    rows = rows.rename(columns={"metric": "measure"})
    said, unsure = [], {}
    for row in rows.itertuples():
        answer = answer_of(row)
        if answer in (FAIRER, LESS_FAIR):
            said.append(f"{capital(str(row.arm))} is {answer} than {row.baseline} in the {row.quantity} ({number(row.before)} → "
                        f"{number(row.after)}, change {estimate(row.value, row.low, row.high)}; not corrected for the number of changes "
                        "looked at).")
        elif is_estimable(row):
            unsure.setdefault((row.arm, row.baseline), []).append(row.quantity)
    said += [f"Whether {arm} is fairer than {baseline} in {join((f'the {name}' for name in quantities), last='or')} cannot be told: "
             f"{'its interval includes' if len(quantities) == 1 else 'their intervals include'} no change."
             for (arm, baseline), quantities in unsure.items()]
    return said


def _power(verdicts: Sequence[Verdict], power: pd.DataFrame, share: float) -> list[str]:
    """For comparisons without an answer: how large a difference would have been found."""
    said = []
    for verdict, row in zip(verdicts, names_of_groups(power).itertuples(), strict=True):
        if verdict.kind == "cannot tell" and pd.notna(row.detectable):
            most = "no difference" if math.isinf(row.detectable) else f"a difference of {number(row.detectable)}"
            said.append(f"Between {verdict.arm} and {verdict.baseline}, a study of this size finds {most} in {title_of(row.metric)} for "
                        f"{row.group} {percent(share)} of the time; {verdict.margin:g} was declared to matter.")
    return said


def _readings(readings: pd.DataFrame) -> list[str]:
    """Whether the reading of actinic keratosis decides the answer; nothing where there are not two to compare."""
    if readings["reading"].nunique() < 2:
        return []
    by = readings.groupby(["metric", "group", "arm", "baseline"], sort=False)["kind"].nunique()
    changed = [f"{arm} against {baseline}" for (_, _, arm, baseline), kinds in by.items() if kinds > 1]
    words = join([WORDS[name] for name in readings["reading"].unique()], last="or")
    ranking = f"In the ranking of what to act on, by {join(title_of(metric) for metric in readings['metric'].unique())}"
    if not changed:
        return [f"{ranking}, no answer changes with actinic keratosis {words}."]
    return [f"{ranking}, the answer on {join(dict.fromkeys(changed))} depends on whether actinic keratosis is {words}."]


def _drawn_once(verdicts: Sequence[Verdict]) -> list[str]:
    """What no interval holds where generated images are compared: only the classifier was trained several times."""
    arms = generated_arms(list(dict.fromkeys(name for one in verdicts for name in (one.arm, one.baseline))))
    if not arms:
        return []
    shared, again = ("generator and its generated images", "learning and drawing them again")
    if all(find_arm(name).streams for name in arms):
        shared, again = "generator", "learning it again"
    return [f"Trainings of an arm that differ in their seed alone share its {shared}, so no interval holds what {again} would change."]


def _seeds(verdicts: Sequence[Verdict]) -> list[str]:
    seeds = min(verdict.seeds for verdict in verdicts)
    return ["All of it holds for these trained networks only, as there is one training per arm."] if seeds == 1 else []
