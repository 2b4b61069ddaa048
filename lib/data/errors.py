"""The error of this package: something is wrong with the images or their table, not with the program."""

from __future__ import annotations

from typing import Any


class DataError(ValueError):
    """The data are not usable as the study asks; the message says what, where and what to do."""

    def __init__(
        self,
        message:    str,
        quarantine: Any = None,                             # DataFrame for quarantine.csv, where rows were left out before the error
    ) -> None:
        super().__init__(message)
        self.quarantine = quarantine


def counted(
    how_many: int,
    one:      str,                                          # "image"
    several:  str | None = None,                            # where it is not `one` with an s
) -> str:
    """`1 image`, `1,204 images` for messages."""
    return f"{how_many:,} {one if how_many == 1 else several or one + 's'}"


def shorten(
    values: list,
    limit:  int = 8,                                        # how many are written out
) -> str:
    """`a, b, c and 12 more` for messages."""
    shown = ", ".join(str(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown} and {len(values) - limit:,} more"
