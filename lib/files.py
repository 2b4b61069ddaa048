"""Files that are either the old or the new version, never half of one, whatever kills the process."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file in the folder of `path`, bring it to disk, then rename it; leaves nothing behind on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        _to_disk(temporary)
        temporary.replace(path)
        _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Plain values as JSON, atomically. ValueError when a number is NaN or infinite (JSON has none)."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def reserve(path: Path, what: str) -> None:
    """Take a file's whole room on disk at once, before it is mapped and written: on a full disk that kills the process without a word.

    OSError where there is no room, with `what` the file holds; nothing on a system that cannot reserve.
    """
    size = path.stat().st_size
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except (OSError, AttributeError) as error:
        if getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
            return
        raise OSError(error.errno, f"the disk has no room for {size / 1e6:,.0f} MB of {what}; free some space and run the same command "
                                   "again", str(path.parent)) from None


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files whose process died before the rename: ours (`.name.PID`) and those safetensors writes through (`.tmpXXXXXX`).

    One writer per folder is assumed.
    """
    for path in folder.glob(".*"):
        if path.is_file() and re.fullmatch(r"\..+\.\d+|\.tmp\w{6}", path.name):
            path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
