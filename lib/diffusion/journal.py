"""What has been drawn, line by line: appended and brought to disk after every batch, so a killed run knows where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Line(NamedTuple):
    """One attempt."""

    number:  int            # of the request
    attempt: int            # from 1
    reason:  str | None     # why it was refused
    sha256:  str | None     # of the PNG file that was kept


class Journal:
    """A file of JSON lines: first a mark that names the run, then its attempts. Where one stands twice, the later line counts."""

    def __init__(self, path: Path, mark: str):
        self.path, self.mark = path, mark
        self._file: BinaryIO | None = None

    def belongs(self) -> bool:
        """Whether the file on disk is of this run."""
        try:
            with self.path.open("rb") as file:
                return file.readline() == self._head()
        except FileNotFoundError:
            return False

    def lines(self) -> Iterator[Line]:
        """Every whole line; one that a kill cut short, or that cannot be read, is passed over, and its attempt is made again."""
        if not self.belongs():
            return
        with self.path.open("rb") as file:
            file.readline()
            for text in file:
                try:
                    line = Line(*json.loads(text))
                except (ValueError, TypeError):
                    continue
                if text.endswith(b"\n"):        # else the next run writes over it
                    yield line

    def __enter__(self) -> Journal:
        """Open it for appending, from the last whole line on; a new one begins with the mark."""
        if self.belongs():
            end = _end_of_last_line(self.path)
            self._file = self.path.open("r+b")
            self._file.truncate(end)
            self._file.seek(end)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
            self._bring_to_disk(self._head())
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, lines: Sequence[Line]) -> None:
        """All of a batch, or (on a full disk) nothing that a reader would take for a line."""
        self._bring_to_disk(b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines))

    def _bring_to_disk(self, text: bytes) -> None:
        start = self._file.tell()
        try:
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), start)
            raise

    def _head(self) -> bytes:
        return json.dumps({"run": self.mark}).encode() + b"\n"


def _end_of_last_line(path: Path) -> int:
    """Bytes up to and with the last newline."""
    with path.open("rb") as file:
        end = position = file.seek(0, os.SEEK_END)
        while position:
            position = max(0, end - 4096)
            file.seek(position)
            at = file.read(end - position).rfind(b"\n")
            if at >= 0:
                return position + at + 1
            end = position
    return 0
