"""Which groups are furthest apart."""

from __future__ import annotations

from collections.abc import Mapping


def extremes(
    values:           Mapping[str, float],    # group → value
    *,
    higher_is_better: bool = True,
) -> tuple[str, str]:
    """The worst and the best group, never the same, the first of equals. Raises ValueError with fewer than two groups that have a value."""
    known = {group: value for group, value in values.items() if value == value}
    if len(known) < 2:
        raise ValueError(f"a gap needs two groups with a value; got {len(known)} of {len(values)}")
    lowest = min(known, key=known.__getitem__)
    highest = max((group for group in known if group != lowest), key=known.__getitem__)
    return (lowest, highest) if higher_is_better else (highest, lowest)
