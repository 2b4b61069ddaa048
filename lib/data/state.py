"""What lies on disk, told cheaply enough to ask before every run: has a source changed since its stage ran?

Only the standard library and light modules are imported here, because this runs before anything is known to need more.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib.data.errors import DataError
from lib.data.folders import SKIPPED_FOLDERS, leaves_root, lies_inside

if TYPE_CHECKING:
    from lib.study import Data, Split

MISSING = "missing"
_TABLES = (".csv", ".tab", ".tsv")
_DIGITS = 16                                                # hexadecimal; enough to tell two states of one folder apart


def source_state(
    data:  Data,
    split: Split,
    roots: Mapping[str, Path],                              # source title → its folder
    root:  Path,                                            # DATA_ROOT, where split.file and the lists lie
) -> dict[str, str]:
    """A fingerprint (16 hex digits) of each source that is not drawn, of "split.file" and of each list in `duplicates.pairs`.

    A source's covers path, size and time of change of every file below its folder; a table (*.csv, *.tab, *.tsv at the top of the
    folder, and `source.table`) counts by its content instead of its time, so that fetching it again changes nothing. Hidden files
    and __MACOSX are left out, as in reading. The folder itself may be a link. A link inside that leaves it counts as the link it is;
    one that stays counts as its target if that is a file. "missing" stands for a folder or file that is not there.
    Raises DataError where `split.file` or a list leads out of `root`.
    """
    state = {source.title: _folder_state(Path(roots[source.title]), source.table) for source in data.sources if source.phantom is None}
    path = split_path(split, root)
    if path is not None:
        state["split.file"] = _content(path)
    return state | {f"data.duplicates.pairs: {file}": _content(path) for file, path in pairs_paths(data.duplicates.pairs, root).items()}


def split_path(
    split: Split,
    root:  Path,                                            # DATA_ROOT
) -> Path | None:
    """Where `split.file` lies, None where the study names none. Raises DataError when it would leave `root`."""
    if not split.file:
        return None
    reason = leaves_root(split.file)
    if reason:
        raise DataError(f"split.file: {reason}; it is read under DATA_ROOT ({root}), so put it there, or set DATA_ROOT")
    return root / split.file


def pairs_paths(
    files: Sequence[str],                                   # of data.duplicates.pairs
    root:  Path,                                            # DATA_ROOT
) -> dict[str, Path]:
    """Where each published list of duplicates lies. Raises DataError when one would leave `root`."""
    for file in files:
        reason = leaves_root(file)
        if reason:
            raise DataError(f"data.duplicates.pairs: {reason}; it is read under DATA_ROOT ({root}), so put it there, or set DATA_ROOT")
    return {file: root / file for file in files}


def _folder_state(root: Path, table: str | None) -> str:
    if not root.is_dir():
        return MISSING
    lines: list[bytes] = []
    _walk(str(root), "", os.path.realpath(root), lines)
    if table and not leaves_root(table):                    # may lie deeper, or be hidden
        lines.append(_line("table", table, _content(root / table)))
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()[:_DIGITS]


def _walk(folder: str, prefix: str, real_root: str, lines: list[bytes]) -> None:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:                                # a folder that we may not enter, or that went away just now
        lines.append(_line("folder", prefix, error.strerror or ""))
        return
    for entry in entries:
        name = entry.name
        if name[0] == "." or name in SKIPPED_FOLDERS:
            continue
        relative = prefix + name
        try:
            if entry.is_symlink() and not _is_file_inside(entry.path, real_root):
                lines.append(_line("link", relative, os.readlink(entry.path)))
            elif entry.is_dir():
                _walk(entry.path, relative + "/", real_root, lines)
            else:
                found = entry.stat()
                is_table = not prefix and name.lower().endswith(_TABLES) and entry.is_file()
                lines.append(_line("file", relative, found.st_size, _content(entry.path) if is_table else found.st_mtime_ns))
        except FileNotFoundError:                           # deleted while we looked
            continue


def _is_file_inside(path: str, real_root: str) -> bool:
    return os.path.isfile(path) and lies_inside(os.path.realpath(path), real_root)


def _line(*parts: object) -> bytes:
    """One line of the listing; names that are not UTF-8 keep their bytes, and no name can look like two (no name holds a NUL)."""
    return os.fsencode("\0".join(map(str, parts))) + b"\0\0"


def _content(path: str | Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return error.strerror or "unreadable"
