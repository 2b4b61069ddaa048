"""Files of generated images: whole or not there, checked by their hash, and in two folders without taking room twice."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def put(path: Path, make: Callable[[Path], object]) -> None:
    """Let `make` fill a temporary file beside `path`, then rename it.

    Not brought to disk one by one as `lib.files.write_atomically` does: what a power cut loses does not fit its hash and is drawn again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def put_again(source: Path, path: Path) -> None:
    """The same file under a second name, which takes no room, or a copy where the disk knows no such names."""
    try:
        put(path, lambda temporary: os.link(source, temporary))
    except OSError:
        put(path, lambda temporary: shutil.copyfile(source, temporary))


def is_whole(path: Path, sha256: str | None) -> bool:
    """Whether the file is there and has this hash."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except FileNotFoundError:
        return False
