"""Tables of `lib.stats.compare` made ready for showing: one metric, one architecture, names in words."""

from __future__ import annotations

import pandas as pd

from lib.metrics.registry import MEASURES
from lib.report.arrange import UNKNOWN
from lib.report.words import join

ALL = "all"                             # the group of all images, the mean over architectures
EVERYBODY = "everybody"


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
    if "group" in frame:
        names = frame["group"].astype(object).where(frame["group"].notna(), UNKNOWN)
        frame = frame.assign(group=names.map(lambda name: EVERYBODY if name == ALL else str(name)))
    return frame.reset_index(drop=True), metric or "value"


def title_of(metric: str) -> str:
    """The metric's name in words."""
    return MEASURES[metric].title if metric in MEASURES else metric.replace("_", " ")


def higher_is_better(metric: str) -> bool:
    """As the registry says; metrics it does not know count as better when higher."""
    return MEASURES[metric].higher_is_better if metric in MEASURES else True


def is_estimable(row) -> bool:
    """Whether a row holds a value and both ends of its interval."""
    return not any(pd.isna(getattr(row, name)) for name in ("value", "low", "high"))
