"""Unpack a zip from elsewhere without trusting it: no path leaves its folder, no link, no bomb, no file of yours overwritten."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from lib.data.folders import SKIPPED_FOLDERS, leaves_root

MOST_FILES = 1_000_000
MOST_GROWTH = 100               # times the archive's size; photographs hardly grow, masks may tenfold
_FREE_GROWTH = 50 << 20         # bytes that a small archive may grow to whatever its size


class UnpackError(Exception):
    """An archive cannot or must not be unpacked; the message says why."""


def unpack_zip(
    archive:  Path,
    target:   Path,                                             # is made if it does not exist
    *,
    progress: Callable[[int, int], None] | None = None,         # called with (files done, files in all)
) -> int:
    """Unpack `archive` into `target`; the number of files in it.

    Each file appears under its name only when it is whole, so unpacking again after an interruption finishes the work: files that
    are there with the archive's size are kept. Raises UnpackError, before anything is written, for a path that leaves `target`, a
    link, encryption, an archive that would grow beyond reason, a disk too small, and a file that is there with another size.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _check_names(opened.infolist(), archive)
            members = [member for member in opened.infolist() if not _is_clutter(member)]
            _check(members, archive, target)
            for done, member in enumerate(members, 1):
                _write(opened, member, target / member.filename)
                if progress is not None:
                    progress(done, len(members))
            return len(members)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise UnpackError(f"{archive}: not a readable zip ({error}); delete it and fetch it again") from None


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename).parts
    return member.is_dir() or not parts or parts[0] in SKIPPED_FOLDERS or parts[-1].startswith(".")


def _check_names(members: list[zipfile.ZipInfo], archive: Path) -> None:
    for member in members:
        reason = leaves_root(member.filename.replace("\\", "/"))
        if reason:
            raise UnpackError(f"{archive}: {reason}; nothing was unpacked")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UnpackError(f"{archive}: {member.filename} is a link; nothing was unpacked")
        if member.flag_bits & 1:
            raise UnpackError(f"{archive}: {member.filename} is encrypted; unpack it by hand")


def _check(members: list[zipfile.ZipInfo], archive: Path, target: Path) -> None:
    size = archive.stat().st_size
    total = sum(member.file_size for member in members)
    if total > max(MOST_GROWTH * size, _FREE_GROWTH) or len(members) > MOST_FILES:
        raise UnpackError(f"{archive}: {size:,} bytes would become {total:,} in {len(members):,} files, which no data set of images does; "
                          "nothing was unpacked")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise UnpackError(f"{archive}: it holds two files of one name; nothing was unpacked")
    real = os.path.realpath(target)
    for member in members:
        path = target / member.filename
        if os.path.commonpath([real, os.path.realpath(path)]) != real:
            raise UnpackError(f"{archive}: {path} leads out of {target} through a link that is there; nothing was unpacked")
        if path.exists() and (not path.is_file() or path.stat().st_size != member.file_size):
            raise UnpackError(f"{path} is there already and is not the archive's file; move it away first. Nothing was unpacked")
    needed = sum(member.file_size for member in members if not (target / member.filename).exists())
    free = shutil.disk_usage(next(folder for folder in (target, *target.parents) if folder.exists())).free
    if needed > free:
        raise UnpackError(f"{archive}: needs {needed:,} bytes, {free:,} are free under {target}; make room and run the same command again")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with opened.open(member) as source, part.open("wb") as file:       # zipfile compares length and checksum
        shutil.copyfileobj(source, file, 1 << 20)
    part.replace(path)
