"""The comparisons a study was decided on: what was declared, what came out, and whether arms are as good as the same (notebook 09)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.report.comparisons import ALL, EVERYBODY, is_estimable, names_of_groups, p_cell, p_value, reason, title_of
from lib.report.forest import BAND, blocks, draw_rows
from lib.report.style import INK, house_style, say_instead
from lib.report.words import capital, count, estimate, number
from lib.study import Primary


def describe_primaries(primaries: Sequence[Primary]) -> list[str]:
    """What the study said, before it ran, that it would be decided on."""
    sentences = [f"Does arm {one.arm}, against arm {one.baseline}, change {title_of(one.metric)} for "
                 f"{EVERYBODY if one.group in (None, ALL) else one.group}? "
                 f"A difference under {one.margin:g} was declared too small to matter." for one in primaries]
    if len(primaries) > 1:
        sentences.append(f"As there are {len(primaries)} such questions, their p-values are corrected for that (Holm): the chance that any "
                         "of them finds a difference where there is none stays what it would be for one.")
    return sentences


def describe_declaration(
    sha256:    str,                     # of lib.stats.declaration.declaration_hash
    *,
    commit:    str,                     # of the code, "+" at its end where files differ from it
    overrides: bool,                    # whether the study file was overridden from the command line
    lists:     int = 1,                 # how many different lists these outputs have been judged by, this one included
) -> list[str]:
    """By what a reader can check that the list was not changed afterwards, and what speaks against it."""
    sentences = [f"This list has the SHA-256 {sha256}; the study file at commit {commit.removesuffix('+')} must give the same."]
    if commit.endswith("+") or commit == "unknown":
        sentences.append("The files differ from that commit, so it proves nothing: commit, and run again." if commit.endswith("+") else
                         "The code is not under version control here, so the hash can be compared only with one written down before.")
    if overrides:
        sentences.append("Some values were given on the command line and stand in no file: see the first table of this page.")
    if lists > 1:
        sentences.append(f"{capital(count(lists - 1, 'other list', 'other lists'))} came before it on these very outputs. Whoever chooses "
                         "among answers finds one by chance: take what follows as exploration.")
    return sentences


def declared_table(declared: pd.DataFrame) -> pd.DataFrame:
    """`lib.stats.verdict.declared` for reading: a row per declared comparison; without Holm's columns where there is but one."""
    rows = names_of_groups(declared)
    table = pd.DataFrame({
        "comparison":     [f"{row.arm} against {row.baseline}" for row in rows.itertuples()],
        "measure":        [title_of(metric) for metric in rows["metric"]],
        "group":          rows["group"],
        "values":         [f"{number(row.arm_value)} against {number(row.baseline_value)}" for row in rows.itertuples()],
        "difference":     [estimate(row.value, row.low, row.high) for row in rows.itertuples()],
        "p":              rows["p_value"].map(p_cell),
        "p, corrected":   rows["p_adjusted"].map(p_cell),
        "p, equivalence": rows["p_equivalence"].map(p_cell),
        "p, equivalence, corrected": rows["p_equivalence_adjusted"].map(p_cell),
        "answer":         rows["kind"],
    })
    return table.drop(columns=["p, corrected", "p, equivalence, corrected"]) if len(table) == 1 else table


@house_style
def plot_declared(
    declared:   pd.DataFrame,           # of lib.stats.verdict.declared
    *,
    arms:       Sequence[str],          # all arms of the study in order, for their colours
    confidence: float = 0.95,
    title:      str   = "What came of the declared comparisons?",
) -> Figure:
    """Forest plot: a row per declared comparison with its difference, the zero line and the band of its own margin."""
    if declared.empty:
        return say_instead(title, "Nothing was declared.")
    rows = names_of_groups(declared)
    rows = rows.assign(words=[f"{row.kind}: {title_of(row.metric)}" for row in rows.itertuples()])
    note = (f"Point and line: paired difference and its {confidence * 100:g}% interval. Grey band: differences under the declared margin, "
            "which do not matter.")
    figure, axes, places = blocks(rows.assign(arm=[f"{row.arm} − {row.baseline}" for row in rows.itertuples()]), title, note)
    for place, margin in zip(places, rows["margin"], strict=True):
        axes.add_patch(Rectangle((-margin, place - 0.5), 2 * margin, 1, facecolor=BAND, edgecolor="none", zorder=0, gid="margin"))
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    widest = 1.25 * float(rows["margin"].max())
    draw_rows(axes, rows, places, arms, keep=(-widest, widest))
    axes.set_xlabel("difference: arm minus baseline")
    return figure


def describe_declared(
    declared:   pd.DataFrame,           # of lib.stats.verdict.declared
    *,
    confidence: float = 0.95,
) -> list[str]:
    """A sentence per declared comparison with its p-value, before and after Holm's correction."""
    rows, sentences = names_of_groups(declared), []
    for row in rows.itertuples():
        if not is_estimable(row):
            sentences.append(f"{_name(row)}: not estimable ({reason(row)}).")
            continue
        answer = "larger than chance explains" if row.p_adjusted < 1 - confidence else "no larger than chance could give"
        sentences.append(f"{_name(row)}: difference {estimate(row.value, row.low, row.high)}, {answer} "
                         f"({_both(row.p_value, row.p_adjusted, len(rows))}).")
    return sentences


def describe_equivalence(
    declared:   pd.DataFrame,           # of lib.stats.verdict.declared
    *,
    confidence: float = 0.95,
) -> list[str]:
    """A sentence per declared comparison: is it shown that the difference is too small to matter, either way?"""
    sentences, level, open_, rows = [], (1 - confidence) / 2, False, names_of_groups(declared)
    for row in rows.itertuples():
        if not is_estimable(row) or pd.isna(row.p_equivalence):
            sentences.append(f"{_name(row)}: not estimable ({reason(row)}).")
            continue
        held = row.p_equivalence_adjusted < level
        open_ = open_ or not held
        sentences.append(f"{_name(row)}: that they differ by less than {row.margin:g} either way is {'shown' if held else 'not shown'} "
                         f"({_both(row.p_equivalence, row.p_equivalence_adjusted, len(rows))}; it takes p < {level:g}).")
    if open_:
        sentences.append("Not shown to be the same is not the same as shown to differ: with few patients neither can be shown.")
    return sentences


def _both(p: float, corrected: float, comparisons: int) -> str:
    """p, and what it becomes by correction where there is more than one comparison."""
    return p_value(p) + (f", corrected for {comparisons} declared comparisons {p_value(corrected)}" if comparisons > 1 else "")


def _name(row) -> str:
    return f"{capital(str(row.arm))} against {row.baseline}, {title_of(row.metric)}, {row.group}"
