"""DeLong, McNemar and Wilcoxon for reading: a table each, and its answer in sentences (notebook 09)."""

from __future__ import annotations

import pandas as pd

from lib.report.comparisons import ALL, is_estimable, names_of_groups, p_cell, p_value, pick, reason, survivors, title_of
from lib.report.words import NOTHING, capital, count, estimate, join, number

# ── DeLong ───────────────────────────────────────────────────────────────────────────────────────────────────────

def delong_shown(delong: pd.DataFrame, architecture: str | None = None) -> pd.DataFrame:
    """`lib.stats.delong.delong_table` for reading."""
    rows, _ = pick(delong, None, architecture)
    return pd.DataFrame({
        "arm": rows["arm"], "group": rows["group"], f"difference from {_baseline(rows)}": _estimates(rows),
        "p, by patients": rows["p_value"].map(p_cell), "corrected": rows["p_adjusted"].map(p_cell),
        "p, by images": rows["p_images"].map(p_cell), "positives": rows["n_positives"], "others": rows["n_negatives"],
        "patients or lesions": rows["n_clusters"],
    })


def describe_delong(delong: pd.DataFrame, *, architecture: str | None = None, confidence: float = 0.95) -> list[str]:
    """A sentence per arm with its differences in AUROC, and how many remain after correction."""
    rows, _ = pick(delong, None, architecture)
    if rows.empty:
        return ["There is nothing to compare: only the baseline was trained."]
    sentences = []
    for arm, part in rows.groupby("arm", sort=False):
        known = [f"{row.group} {estimate(row.value, row.low, row.high)}, {p_value(row.p_value)}" for row in part.itertuples()
                 if _tested(row)]
        if known:
            sentences.append(f"{capital(str(arm))} minus {_baseline(part)} in the AUROC of the positive classes: {'; '.join(known)}.")
    return [*sentences, *_untested(rows), *survivors(rows, confidence)]


# ── McNemar ──────────────────────────────────────────────────────────────────────────────────────────────────────

def mcnemar_shown(mcnemar: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """`lib.stats.mcnemar.mcnemar_table` for reading: a row per arm and group, its trainings gathered."""
    rows = _trainings(mcnemar)
    baseline = _baseline(rows)
    gathered = []
    for (arm, group), part in rows.groupby(["arm", "group"], sort=False):
        known = part[part["p_value"].notna()]
        gathered.append({
            "arm": arm, "group": group, "images": int(part["n_images"].max()),
            f"only {baseline} right": _range(known["only_baseline"]), "only the arm right": _range(known["only_arm"]),
            "p, by training": ", ".join(known["p_value"].map(p_cell)) or NOTHING,
            f"corrected p under {1 - confidence:g}": f"{int((known['p_adjusted'] < 1 - confidence).sum())} of {len(known)}" if len(known)
            else f"not estimable: {reason(next(part.itertuples()))}",
        })
    return pd.DataFrame(gathered)


def describe_mcnemar(
    mcnemar:    pd.DataFrame,           # of lib.stats.mcnemar.mcnemar_table
    *,
    what:       str   = "images",       # of which the answers are compared: images, positive images
    confidence: float = 0.95,
) -> list[str]:
    """A sentence per arm: in how many trainings the count of right answers differs by more than chance explains, and which way."""
    rows, sentences = _trainings(mcnemar), []
    if rows.empty:
        return ["There is nothing to compare: only the baseline was trained."]
    for arm, part in rows.groupby("arm", sort=False):
        found = {group: _in_trainings(one, confidence) for group, one in part[part["p_value"].notna()].groupby("group", sort=False)}
        said = [f"{group} {text}" for group, text in found.items() if text]
        same = [group for group, text in found.items() if not text]
        said += [f"no difference shown for {join(same, 6)}"] if same else []
        if said:
            sentences.append(f"{capital(str(arm))} against {_baseline(part)}, right answers on {what} (p under {1 - confidence:g}): "
                             f"{'; '.join(said)}.")
    said = [f"{capital(note)}." for note in dict.fromkeys(rows.loc[rows["p_value"].notna(), "note"]) if isinstance(note, str) and note]
    return [*sentences, *_untested(rows), *said, *survivors(rows, confidence, "A test for every training: ")]


def _in_trainings(rows: pd.DataFrame, confidence: float) -> str:
    """"fewer in 2 of 3 trainings" for one arm and group; empty when no training shows a difference."""
    found = rows[rows["p_value"] < 1 - confidence]
    gain = found["only_arm"] - found["only_baseline"]
    parts = [f"{word} in {n}" for word, n in (("more", int((gain > 0).sum())), ("fewer", int((gain < 0).sum()))) if n]
    return f"{join(parts)} of {count(len(rows), 'training')}" if parts else ""


# ── Wilcoxon ─────────────────────────────────────────────────────────────────────────────────────────────────────

def wilcoxon_shown(wilcoxon: pd.DataFrame, *, metric: str, architecture: str | None = None) -> pd.DataFrame:
    """`lib.stats.wilcoxon.wilcoxon_table` for reading, one measure."""
    rows, _ = pick(wilcoxon, metric, architecture)
    return pd.DataFrame({
        "arm": rows["arm"], "group": rows["group"], "pairs of trainings": rows["pairs"],
        f"median difference from {_baseline(rows)}": rows["value"].map(number), "p": rows["p_value"].map(p_cell),
        "corrected": rows["p_adjusted"].map(p_cell), "smallest p possible": rows["smallest_possible"].map(p_cell),
    })


def describe_wilcoxon(
    wilcoxon:     pd.DataFrame,         # of lib.stats.wilcoxon.wilcoxon_table
    *,
    metric:       str,
    architecture: str | None = None,
    confidence:   float = 0.95,
) -> list[str]:
    """A sentence per arm, and whether this test could have found anything at all with so few trainings."""
    rows, metric = pick(wilcoxon, metric, architecture)
    if rows.empty:
        return ["There is nothing to compare: only the baseline was trained."]
    sentences = []
    for arm, part in rows.groupby("arm", sort=False):
        known = [f"{row.group} {number(row.value, signed=True)} ({p_value(row.p_value)})" for row in part.itertuples() if _tested(row)]
        if known:
            sentences.append(f"{capital(str(arm))} minus {_baseline(part)}, median over pairs of trainings in {title_of(metric)}: "
                             f"{', '.join(known)}.")
    known = rows[rows["p_value"].notna()]
    if len(known) and known["smallest_possible"].min() >= 1 - confidence:
        pairs, least = int(known["pairs"].max()), known["smallest_possible"].min()
        return [*sentences, *_untested(rows), f"With {count(pairs, 'pair')} of trainings this test cannot give a p under {least:.3g}, "
                f"whatever they do: it could not have found a difference here. {_pairs_for(confidence)} pairs are the least that can."]
    return [*sentences, *_untested(rows), *survivors(rows, confidence)]


def _pairs_for(confidence: float) -> int:
    """The fewest pairs whose most extreme outcome is rarer than 1 − confidence."""
    return next(n for n in range(1, 64) if 2 / 2 ** n < 1 - confidence)


# ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

def _tested(row) -> bool:
    return pd.notna(row.p_value) and pd.notna(row.value)


def _untested(rows: pd.DataFrame) -> list[str]:
    """Comparisons without a test: each reason once, with its groups."""
    groups: dict[str, dict[str, None]] = {}
    for row in rows.itertuples():
        if pd.isna(row.p_value):
            groups.setdefault(reason(row), {})[str(row.group)] = None
    return [f"{capital(join(names, 6))}: not tested ({why})." for why, names in groups.items()]


def _trainings(mcnemar: pd.DataFrame) -> pd.DataFrame:
    """Every training's row, arms named with their network where there are several; nothing can be averaged over networks here."""
    rows = names_of_groups(mcnemar[mcnemar["architecture"] != ALL])
    if rows["architecture"].nunique() < 2:
        return rows
    return rows.assign(arm=[f"{row.arm} ({row.architecture})" for row in rows.itertuples()])


def _range(counts: pd.Series) -> str:
    """"60–72", or the one number."""
    if counts.empty:
        return NOTHING
    low, high = int(counts.min()), int(counts.max())
    return number(low) if low == high else f"{number(low)}–{number(high)}"


def _estimates(rows: pd.DataFrame) -> list[str]:
    return [estimate(row.value, row.low, row.high) if is_estimable(row) else f"not estimable: {reason(row)}" for row in rows.itertuples()]


def _baseline(rows: pd.DataFrame) -> str:
    return str(rows["baseline"].iloc[0]) if len(rows) else "the baseline"
