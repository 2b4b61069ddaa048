"""A verdict in plain English."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.metrics.estimate import number
from lib.metrics.registry import MEASURES
from lib.stats.evaluation import ALL

if TYPE_CHECKING:
    from lib.stats.verdict import Kind, Verdict

FEW_SEEDS = 5    # from fewer training runs their spread is known too roughly: an interval may be too narrow (lib/stats/interval.py)


def describe(
    verdict: Verdict,
    *,
    alone:   Kind,          # the word it would get if it were the only comparison declared
) -> str:
    """The verdict in plain English, to be read aloud."""
    title, whom = MEASURES[verdict.metric].title, "everybody" if verdict.group == ALL else f"group {verdict.group}"
    difference, seeds = verdict.difference, verdict.seeds
    opening = verdict.kind.capitalize() + (" for these trained networks" if seeds == 1 and verdict.kind != "cannot tell" else "")
    question = f"{title} for {whom}, arm {verdict.arm} against arm {verdict.baseline}"
    if not difference.estimable:
        return f"{opening}: {question}, is not estimable ({difference.reason})."
    middle = (f"{number(verdict.arm_value)} against {number(verdict.baseline_value)}, "
              f"a difference of {number(difference.value, signed=True)}")
    interval = f"{100 * difference.confidence:g} % interval {number(difference.low, signed=True)} to {number(difference.high, signed=True)}"
    runs = f"{seeds} training {'run' if seeds == 1 else 'runs'} per arm"
    basis = f"{verdict.n_images:,} test images of {verdict.n_clusters:,} independent patients or lesions, {runs}"
    sentence = f"{opening}: {question}, is {middle} ({interval}; {basis}). "
    sentence += _meaning(verdict, alone)
    if seeds == 1:
        sentence += " With one training run per arm, the interval leaves out how much training again would change."
    elif seeds < FEW_SEEDS:
        sentence += (f" With only {seeds} training runs per arm, the interval may be too narrow: so few show only roughly what training "
                     "again changes.")
    return sentence + (f" {verdict.note[0].upper()}{verdict.note[1:]}." if verdict.note else "")


def _meaning(verdict: Verdict, alone: Kind) -> str:
    """What the place of the interval means for the reader."""
    limit = f"the {verdict.margin:g} declared as too small to matter"
    if verdict.kind != alone:
        p, asked = verdict.p_adjusted, 1 - verdict.difference.confidence
        if alone == "equivalent":
            p, asked = verdict.p_equivalence_adjusted, asked / 2        # an interval within the margin is two one-sided tests at half of it
        return (f"Alone it would count as {alone}, but {verdict.declared} comparisons were declared, and corrected for their number "
                f"(Holm) chance remains a possible explanation (adjusted p = {number(p)}, where at most {asked:g} is asked).")
    if verdict.kind == "equivalent":
        real = ", though it is probably not zero" if verdict.lies_beyond() else ""
        return f"The whole interval is within {limit}{real}."
    if verdict.kind == "cannot tell":
        return f"The interval holds no difference at all as well as differences past {limit}: these data cannot decide."
    if verdict.lies_beyond(verdict.margin):
        return f"The whole interval lies beyond {limit}."
    return f"The interval leaves out zero, but not differences smaller than {limit}."
