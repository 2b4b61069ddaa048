"""The declared comparisons through the eyes of every test, side by side: where they differ, they ask different questions (notebook 09)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lib.report.comparisons import ALL, EVERYBODY, higher_is_better, p_cell, title_of
from lib.report.words import NOTHING, capital, count, join
from lib.study import Primary

INTERVAL, DELONG, MCNEMAR, POSITIVES, WILCOXON = "interval", "DeLong", "McNemar", "McNemar on positives", "Wilcoxon"
NONE, MIXED, SILENT, TOO_FEW = "no difference shown", "not the same in every training", "not estimable", "too few trainings to tell"
_ASKS = {
    INTERVAL:  "the interval alone allows for other patients and for training again, and it is about the declared measure",
    DELONG:    "DeLong asks how positive images rank against the others, for these trained networks only",
    MCNEMAR:   "McNemar counts right and wrong answers at each network's own threshold and asks nothing about ranking",
    POSITIVES: "McNemar on positives sees only what is missed: a threshold that moves up misses more and raises fewer false alarms",
    WILCOXON:  "Wilcoxon asks whether training again would point the same way, on these same patients",
}


def compare_tests(
    primaries:   Sequence[Primary],     # all against the baseline of the tables
    *,
    differences: pd.DataFrame,          # of lib.stats.compare.differences
    delong:      pd.DataFrame,          # of lib.stats.delong.delong_table
    mcnemar:     pd.DataFrame,          # of lib.stats.mcnemar.mcnemar_table
    positives:   pd.DataFrame,          # the same with positives_only
    wilcoxon:    pd.DataFrame,          # of lib.stats.wilcoxon.wilcoxon_table
    confidence:  float = 0.95,
) -> pd.DataFrame:
    """A row per declared comparison and test: what it looks at, what it lets vary, p (not corrected), and what it finds.

    McNemar is a test for every training: it finds what more than half of them find.
    """
    level, rows = 1 - confidence, []
    for one in primaries:
        name, upwards = title_of(one.metric), higher_is_better(one.metric)
        answers = [
            (INTERVAL, name, "patients and training", _single(_mine(differences, one, one.metric), level, upwards)),
            (DELONG, "AUROC (positive classes)", "patients", _single(_mine(delong, one), level)),
            (MCNEMAR, "right answers", "patients", _trainings(_mine(mcnemar, one), level)),
            (POSITIVES, "positives found", "patients", _trainings(_mine(positives, one), level)),
            (WILCOXON, name, "training", _single(_mine(wilcoxon, one, one.metric), level, upwards)),
        ]
        rows += [{"comparison": _name(one), "test": test, "looks at": what, "lets vary": varies, "p": p, "finds": finds}
                 for test, what, varies, (p, finds) in answers]
    return pd.DataFrame(rows, columns=["comparison", "test", "looks at", "lets vary", "p", "finds"])


def describe_agreement(table: pd.DataFrame) -> list[str]:
    """Per declared comparison whether the tests agree; where any do not, what each of them asks."""
    sentences, differ = [], False
    for comparison, part in table.groupby("comparison", sort=False):
        silent = part["finds"].isin([SILENT, TOO_FEW])
        answers = {answer: list(rows["test"]) for answer, rows in part[~silent].groupby("finds", sort=False)}
        without = f" Without an answer: {join(f'{test} ({why})' for test, why in part.loc[silent, ['test', 'finds']].to_numpy())}."
        if len(answers) > 1:
            text, differ = f"the tests differ: {'; '.join(f'{answer} by {join(tests)}' for answer, tests in answers.items())}.", True
        elif answers:
            answer, tests = next(iter(answers.items()))
            text = f"{join(tests)} {'agree' if len(tests) > 1 else 'alone has an answer'}: {answer}."
        else:
            text = "no test has an answer."
        sentences.append(f"{capital(comparison)}: {text}{without if silent.any() else ''}")
    if differ:
        asked = [_ASKS[test] for test in _ASKS if test in set(table["test"])]
        sentences.append(f"Tests may differ without one being wrong, for they ask different questions: {'; '.join(asked)}.")
        sentences.append("The declared interval decides the study; the others show in which respect the arms differ.")
    if (table["test"].isin([MCNEMAR, POSITIVES]) & (table["finds"] != SILENT)).any():
        sentences.append("McNemar is counted over trainings, all judged on the same patients: the count of them is no test by itself.")
    return sentences or ["Nothing was declared against this baseline."]


def _name(primary: Primary) -> str:
    return f"{primary.arm} against {primary.baseline}, {EVERYBODY if primary.group in (None, ALL) else primary.group}"


def _mine(frame: pd.DataFrame, primary: Primary, metric: str | None = None) -> pd.DataFrame:
    """Rows of the declared comparison (and measure); the mean over networks where the table has it."""
    rows = frame[(frame["arm"] == primary.arm) & (frame["baseline"] == primary.baseline) & (frame["group"] == (primary.group or ALL))]
    rows = rows if metric is None else rows[rows["metric"] == metric]
    return rows[rows["architecture"] == ALL] if (rows["architecture"] == ALL).any() else rows


def _single(rows: pd.DataFrame, level: float, upwards: bool = True) -> tuple[str, str]:
    """p and finding of a table with one row per comparison."""
    if rows.empty or pd.isna(rows["p_value"].iloc[0]):
        return NOTHING, SILENT
    row = rows.iloc[0]
    p = p_cell(row["p_value"])
    if row.get("smallest_possible", 0) >= level:
        return f"{p} (at best {p_cell(row['smallest_possible'])})", TOO_FEW
    return p, NONE if row["p_value"] >= level else "better" if (row["value"] > 0) == upwards else "worse"


def _trainings(rows: pd.DataFrame, level: float) -> tuple[str, str]:
    """p and finding of a table with a row per training: a finding where most trainings show the same one."""
    known = rows[rows["p_value"].notna()]
    if known.empty:
        return NOTHING, SILENT
    gain, found = known["only_arm"] - known["only_baseline"], known["p_value"] < level
    better, worse = int((found & (gain > 0)).sum()), int((found & (gain < 0)).sum())
    finds = "better" if 2 * better > len(known) else "worse" if 2 * worse > len(known) else MIXED if better or worse else NONE
    counts = [f"{word} in {n}" for word, n in (("better", better), ("worse", worse)) if n]
    return f"under {level:g}: {join(counts) or 'none'} of {count(len(known), 'training')}", finds
