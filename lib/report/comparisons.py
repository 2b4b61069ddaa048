"""Tables of `lib.stats` made ready for showing: one metric, one architecture; names, reasons and p-values in words."""

from __future__ import annotations

import pandas as pd

from lib.metrics.registry import MEASURES
from lib.report.arrange import UNKNOWN
from lib.report.words import NOTHING, capital, join, number

ALL = "all"                             # the group of all images, the mean over architectures
EVERYBODY = "everybody"
_LEVELS = (0.025, 0.05)                 # on which side of one a p-value lies must be seen


def pick(
    frame:        pd.DataFrame,         # of lib.stats.compare: one row per arm, architecture, metric (and group)
    metric:       str | None = None,    # may be left out when the frame holds one
    architecture: str | None = None,    # default: the mean over architectures, or the only one
) -> tuple[pd.DataFrame, str]:
    """Rows of one metric and architecture with group names in words, and the metric. Raises ValueError when the choice is open."""
    frame = frame.copy()
    for column, given in (("metric", metric), ("architecture", architecture)):
        if column not in frame:
            continue
        found = list(frame[column].drop_duplicates())
        if given is None and column == "architecture" and ALL in found:
            given = ALL
        if given is None and len(found) > 1:
            raise ValueError(f"the table holds several values of {column} ({join(found, 8)}); name one: {column}={found[0]!r}")
        if given is not None and found and given not in found:
            raise ValueError(f"no {column} {given!r} in the table; it holds {join(found, 8)}")
        if given is not None:
            frame = frame[frame[column] == given]
        metric = metric or (found[0] if column == "metric" and found else None)
    return names_of_groups(frame).reset_index(drop=True), metric or "value"


def names_of_groups(frame: pd.DataFrame) -> pd.DataFrame:
    """The column `group`, where there is one, in words: "all" → "everybody", null → "unknown"."""
    if "group" not in frame:
        return frame
    return frame.assign(group=[UNKNOWN if pd.isna(name) else EVERYBODY if name == ALL else str(name) for name in frame["group"]])


def title_of(metric: str) -> str:
    """The metric's name in words."""
    return MEASURES[metric].title if metric in MEASURES else metric.replace("_", " ")


def higher_is_better(metric: str) -> bool:
    """As the registry says; metrics it does not know count as better when higher."""
    return MEASURES[metric].higher_is_better if metric in MEASURES else True


def better_side(metric: str) -> str:
    """For an axis of values: "AUROC (mean over classes): higher is better"."""
    return f"{title_of(metric)}: {'higher' if higher_is_better(metric) else 'lower'} is better"


def is_estimable(row) -> bool:
    """Whether a row holds a value and, where its table has intervals, both ends."""
    return not any(pd.isna(getattr(row, name, 0)) for name in ("value", "low", "high"))


def reason(row) -> str:
    """Why a row is not estimable, without the words "not estimable"."""
    note = str(row.note).split(";")[0] if isinstance(row.note, str) and row.note else ""
    return note.removeprefix("not estimable").removeprefix(":").strip() or "no reason given"


def notes(rows: pd.DataFrame) -> list[str]:
    """Notes on rows that have a value, each once, with the groups they belong to unless they hold for all."""
    if "note" not in rows:
        return []
    shown = [row for row in rows.itertuples() if is_estimable(row)]
    where: dict[str, list[str]] = {}
    for row in shown:
        for part in str(row.note).split(";") if isinstance(row.note, str) else []:
            if part.strip():
                where.setdefault(part.strip(), []).append(str(getattr(row, "group", "")))
    total = len(shown)
    return [capital(note) + (f" ({join(dict.fromkeys(groups), 6)})" if len(groups) < total and any(groups) else "") + "."
            for note, groups in where.items()]


def survivors(rows: pd.DataFrame, confidence: float = 0.95, opening: str = "") -> list[str]:
    """How many of a table's tests stay under 1 − confidence when corrected for their number; nothing to say with fewer than two."""
    known, level = rows[rows["p_value"].notna()], 1 - confidence
    if len(known) < 2:
        return []
    found, corrected = (int((known[name] < level).sum()) for name in ("p_value", "p_adjusted"))
    return [capital(f"{opening}of {len(known)} tests, {found} {'has' if found == 1 else 'have'} p under {level:g}; "
                    f"corrected for their number, {corrected}.")]


def p_value(p: object) -> str:
    """0.0312 → "p = 0.031", 0.0002 → "p < 0.001", missing → "–"."""
    if p is None or pd.isna(p):
        return NOTHING
    digits = next(d for d in range(3, 9) if d == 8 or all(p == level or round(p, d) != level for level in _LEVELS))
    return "p < 0.001" if p < 0.001 else f"p = {number(float(p), digits)}"


def p_cell(p: object) -> str:
    """The same for a column of p-values: "0.031", "< 0.001", "–"."""
    return p_value(p).removeprefix("p ").removeprefix("= ")
