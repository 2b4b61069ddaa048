"""The columns that the tables of lib.stats share, and the rows that fill them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lib.stats.evaluation import Evaluation
from lib.stats.interval import Uncertainty

ONE_SEED = "one training seed: how much training again would change is not in the interval"

COUNTS = ("n_images", "n_clusters", "n_positives")
_NUMBERS = ("value", "low", "high", *COUNTS, "seeds", "seed_spread", "note")
_WHOLE = (*COUNTS, "seeds")


def make_row(
    evaluation: Evaluation,
    found:      Uncertainty,
    counts:     dict[str, int | None],    # of COUNTS
    notes:      Sequence[str] = (),       # empty ones are left out
) -> dict:
    """value, low, high, n_images, n_clusters, n_positives, seeds, seed_spread, note (first why it is not estimable, if so)."""
    low, high = found.interval(evaluation.confidence)
    parts = [f"not estimable: {found.reason}" if found.reason else "", *notes, ONE_SEED if found.trainings == 1 else ""]
    return {"value": found.value, "low": low, "high": high, **counts, "seeds": found.trainings, "seed_spread": found.seed_spread,
            "note": "; ".join(filter(None, parts))}


def make_table(
    names: Sequence[str],           # columns before the shared ones
    rows:  list[dict],
    more:  Sequence[str] = (),      # numbers after the shared ones, before the note
) -> pd.DataFrame:
    """Rows of `make_row` with further columns, as a table with the right types even when it is empty."""
    columns = [*names, *_NUMBERS[:-1], *more, "note"]
    types = {name: "Int64" if name in _WHOLE else float for name in columns if name in _NUMBERS[:-1] or name in more}
    return pd.DataFrame(rows, columns=columns).astype(types)
