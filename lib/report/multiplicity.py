"""How many comparisons were made, and which still count when corrected for their number (notebook 09)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lib.report.comparisons import higher_is_better, names_of_groups, title_of
from lib.report.words import capital, count, join, number


def multiplicity_table(families: Mapping[str, pd.DataFrame], confidence: float = 0.95) -> pd.DataFrame:
    """A row per family of comparisons (name → table with p_value and p_adjusted): how many, how many found before and after correction."""
    level, rows = 1 - confidence, []
    for name, frame in families.items():
        known = frame[frame["p_value"].notna()]
        rows.append({
            "comparisons": name, "how many": len(known), f"p under {level:g}": int((known["p_value"] < level).sum()),
            "by chance alone, at most": number(level * int(_able(known, level).sum()), 1),
            f"still under {level:g} when corrected": int((known["p_adjusted"] < level).sum()),
        })
    return pd.DataFrame(rows)


def _able(rows: pd.DataFrame, level: float) -> pd.Series:
    """Whether each test could give a p under `level` at all: with few pairs of trainings Wilcoxon's cannot."""
    return rows["smallest_possible"] < level if "smallest_possible" in rows else rows["p_value"].notna()


def describe_multiplicity(
    differences: pd.DataFrame,          # of lib.stats.compare.differences
    *,
    confidence:  float = 0.95,
) -> list[str]:
    """How many exploratory comparisons there are, how many look like findings, and which survive Benjamini and Hochberg's correction."""
    rows = names_of_groups(differences)
    known, level = rows[rows["p_value"].notna()], 1 - confidence
    if known.empty:
        return ["There is no comparison to correct."]
    found, kept = int((known["p_value"] < level).sum()), known[known["p_adjusted"] < level]
    sentences = [f"{capital(count(len(known), 'comparison'))} of an arm with its baseline, over all measures, groups and networks: {found} "
                 f"with p under {level:g}, where chance alone would give about {number(level * len(known), 1)}."]
    if kept.empty:
        return [*sentences, "None remains when corrected for their number."]
    sentences.append(f"{len(kept)} remain{'s' if len(kept) == 1 else ''} when corrected for their number; of findings so corrected, "
                     f"about 1 in {round(1 / level)} at most is expected to be false.")
    for arm, part in kept[kept["architecture"] == rows["architecture"].iloc[0]].groupby("arm", sort=False):
        by_group = [text for group, one in part.groupby("group", sort=False) for text in _directions(str(group), one)]
        sentences.append(f"Remaining for {arm}: {'; '.join(by_group)}.")
    return sentences


def _directions(group: str, rows: pd.DataFrame) -> list[str]:
    """"V–VI better in sensitivity", and worse likewise, of one arm's remaining differences."""
    names = {"better": [], "worse": []}
    for row in rows.itertuples():
        names["better" if (row.value > 0) == higher_is_better(row.metric) else "worse"].append(title_of(row.metric))
    return [f"{group} {word} in {join(found, 4)}" for word, found in names.items() if found]
