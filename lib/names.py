"""Look a name up in a table; a name that is not there is answered with the closest one and the whole list."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


def look_up(
    what:  str,                     # "arm", "network": for the message
    name:  str,
    table: Mapping[str, Entry],
) -> Entry:
    """`table[name]`. Raises ValueError: "no arm is called 'reel'; did you mean real? known: real, classical"."""
    if name in table:
        return table[name]
    close = difflib.get_close_matches(name.lower().replace("-", "_").replace(" ", "_"), table, 1, 0.5)
    advice = f"did you mean {close[0]}? " if close else ""
    raise ValueError(f"no {what} is called {name!r}; {advice}known: {', '.join(table)}")
