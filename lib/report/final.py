"""`final_results.json`: everything a reader or a program needs of a finished study, as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lib.stats.verdict import Verdict
from lib.study import Primary

LEGEND = {                              # how the file writes what JSON has no number for
    "null": "no number: not estimable, or the column does not apply",
    "inf":  "no upper end: beyond what was measured, or no number is enough",
    "-inf": "no lower end: beyond what was measured",
}


def final_results(
    *,
    study:      Mapping[str, str],              # name, title, question
    primaries:  Sequence[Primary],
    sha256:     str,                            # of lib.stats.declaration.declaration_hash
    lists:      int,                            # how many different lists these outputs have been judged by
    verdicts:   Sequence[Verdict],
    conclusion: str,
    headline:   Mapping,                        # of lib.report.headline.headline_record
    tables:     Mapping[str, pd.DataFrame],     # name → table, a list of records each
    provenance: Mapping[str, Any],
) -> dict:
    """The whole, ready for `lib.files.write_json`: no NaN, no infinity (see LEGEND), no numpy type.

    ValueError where a table's name is taken.
    """
    whole = {
        "legend":     LEGEND,
        "study":      dict(study),
        "declared":   {"sha256": sha256, "lists": lists, "comparisons": [one.model_dump(mode="json") for one in primaries]},
        "verdicts":   [verdict.as_dict() for verdict in verdicts],
        "conclusion": conclusion,
        "headline":   dict(headline),
        "provenance": dict(provenance),
    }
    if taken := [name for name in tables if name in whole]:
        raise ValueError(f"a table is called {taken[0]!r}, which is a part of its own; give it another name")
    return plain(whole | {name: frame.to_dict("records") for name, frame in tables.items()})


def plain(value: Any) -> Any:
    """Plain Python values throughout; missing numbers become None, infinite ones "inf" and "-inf". TypeError for what JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, (str, bool, int)):
        return value
    raise TypeError(f"{type(value).__name__} has no place in JSON: {value!r}")
