"""Names in the order of the study, with a place for the unknown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

UNKNOWN = "unknown"
EVERYTHING = "all images"


def in_order(
    values: pd.Series,                  # names, null where not known
    names:  Sequence[str] = (),         # the study's names in order
) -> tuple[pd.Series, list[str]]:
    """`values` with null as "unknown", and the names to show: those of the study, then any other that occurs, "unknown" last.

    Where the study has no names and no value is known there is one column, "all images".
    """
    if not len(names) and values.isna().all():
        return pd.Series(EVERYTHING, index=values.index, dtype=object), [EVERYTHING]
    shown = values.astype(object).where(values.notna(), UNKNOWN).map(str)
    order = [str(name) for name in names]
    order += sorted(set(shown) - {*order, UNKNOWN})
    if UNKNOWN in set(shown) and UNKNOWN not in order:
        order.append(UNKNOWN)
    return shown, order


def cross_count(
    rows:    pd.Series,
    columns: pd.Series,
    row_names:    Sequence[str] = (),
    column_names: Sequence[str] = (),
) -> pd.DataFrame:
    """How many images each pair of names has; pairs without any count 0. Index and columns in the order of `in_order`."""
    row_values, row_order = in_order(rows, row_names)
    column_values, column_order = in_order(columns, column_names)
    found = pd.crosstab(row_values.to_numpy(), column_values.to_numpy()) if len(rows) else pd.DataFrame()
    counts = found.reindex(index=row_order, columns=column_order, fill_value=0).fillna(0).astype(int)
    return counts.rename_axis(index=rows.name, columns=columns.name)
