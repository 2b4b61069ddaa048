"""How many comparisons were made, and which still count when corrected for their number (notebook 09)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lib.report.comparisons import names_of_groups, title_of
from lib.report.words import capital, count, join, number


def multiplicity_table(families: Mapping[str, pd.DataFrame], confidence: float = 0.95) -> pd.DataFrame:
    """A row per family of comparisons (name → table with p_value and p_adjusted): how many, how many found before and after correction."""
    level, rows = 1 - confidence, []
    for name, frame in families.items():
        known = frame[frame["p_value"].notna()]
        rows.append({
            "comparisons": name, "how many": len(known), f"p under {level:g}": int((known["p_value"] < level).sum()),
            "expected by chance alone": number(level * len(known), 1),
            f"still under {level:g} when corrected": int((known["p_adjusted"] < level).sum()),
        })
    return pd.DataFrame(rows)


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
        by_group = [f"{group} in {join([title_of(name) for name in one['metric']], 4)}" for group, one in part.groupby("group", sort=False)]
        sentences.append(f"Remaining for {arm}: {'; '.join(by_group)}.")
    return sentences
