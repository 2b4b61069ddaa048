"""What lies in a folder of images: listed once, found by stem, never left.

Metadata tables often name files with the wrong extension or none (PAD-UFES-20 says .png for its .jpg), so a file is found by
its stem with any image extension. Links and paths that lead out of the folder are refused: a table from elsewhere must not
make us read whatever it names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lib.data.errors import DataError

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp"})
_EXTENSIONS = frozenset(extension[1:] for extension in IMAGE_EXTENSIONS)
_SKIPPED_FOLDERS = frozenset({"__MACOSX"})


@dataclass
class Listing:
    """The image files below a folder, as posix paths relative to it."""

    root:    Path
    files:   list[str]            = field(default_factory=list)    # sorted
    refused: dict[str, str]       = field(default_factory=dict)    # file → reason (links that leave the folder)
    stems:   dict[str, list[str]] = field(default_factory=dict)    # stem → files, sorted
    bodies:  dict[str, list[str]] = field(default_factory=dict)    # path without extension → files, sorted

    def by_stem(self, stem: str) -> str | None:
        """The file with this stem, whatever folder and extension; the first in alphabetical order where there are several."""
        found = self.stems.get(stem)
        return found[0] if found else None

    def resolve(self, written: str) -> tuple[str | None, str | None]:
        """The file that a table's entry means, as (file, reason for refusal).

        Tried in turn: the path itself, the path with any image extension, and, for a bare name, the stem in any folder.
        (None, None) means that no such file lies here.
        """
        text = written.strip().replace("\\", "/")
        reason = leaves_root(text)
        if reason:
            return None, reason
        path = str(PurePosixPath(text))
        known = self.bodies.get(_body(path), [])
        if path in known:
            return path, None
        if not known and "/" not in path:
            known = self.stems.get(_body(path), [])
            if len(known) > 1:
                return None, f"{written!r} may be {known[0]} or {known[1]}; write the folder, too"
        if len(known) > 1:
            return None, f"{written!r} may be {known[0]} or {known[1]}; write the extension, too"
        return (known[0], None) if known else (None, None)


def leaves_root(written: str) -> str | None:
    """Why a path written in a table may not be followed; None when it stays inside its folder."""
    path = PurePosixPath(written)
    if path.is_absolute() or (len(written) > 1 and written[1] == ":"):
        return f"{written!r} is an absolute path; write it relative to the data folder"
    if ".." in path.parts:
        return f"{written!r} leads out of the data folder ('..')"
    return None


def list_images(root: Path) -> Listing:
    """List every image file below `root`, reading each folder once and opening no file.

    Hidden files are skipped. A link that stays inside `root` is followed if it is a file and skipped if it is a folder (its
    files are listed where they are); what is reached through a link that leaves `root` is listed as refused.
    """
    listing = Listing(root)
    real_root = os.path.realpath(root)
    found: list[tuple[str, str, str]] = []                  # file, path without extension, stem
    _walk(str(root), "", real_root, None, found, listing.refused)
    for file, body, stem in sorted(found):
        listing.files.append(file)
        listing.bodies.setdefault(body, []).append(file)
        listing.stems.setdefault(stem, []).append(file)
    return listing


def _walk(folder: str, prefix: str, real_root: str, reason: str | None, found: list, refused: dict[str, str]) -> None:
    subfolders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == "." or name in _SKIPPED_FOLDERS:
                continue
            relative, why = prefix + name, reason
            if entry.is_symlink():
                outside = not _inside(os.path.realpath(entry.path), real_root)
                why = reason or (f"{relative} is a link that leaves the data folder; copy its target into the folder" if outside else None)
                if entry.is_dir():
                    if outside and reason is None:
                        subfolders.append((entry.path, relative + "/", why))
                    continue
            elif entry.is_dir():
                if reason is None:                          # outside, one folder is listed so that it can be reported, no more
                    subfolders.append((entry.path, relative + "/", why))
                continue
            stem, dot, extension = name.rpartition(".")
            if dot and extension.lower() in _EXTENSIONS:
                found.append((relative, prefix + stem, stem))
                if why:
                    refused[relative] = why
    for path, inner, why in subfolders:
        _walk(path, inner, real_root, why, found, refused)


def _inside(path: str, real_root: str) -> bool:
    return path == real_root or path.startswith(real_root.rstrip(os.sep) + os.sep)


def _body(path: str) -> str:
    """The path without its extension, where that is an image's."""
    body, extension = os.path.splitext(path)
    return body if extension.lower() in IMAGE_EXTENSIONS else path


def find_table(
    root:     Path,
    names:    tuple[str, ...],      # accepted file names
    layout:   str,                  # what the folder should look like, for the message
) -> Path:
    """The metadata file in `root` under any of its accepted names. Raises DataError that lists them."""
    for name in names:
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root}: no {' or '.join(names)} in it. Expected {layout}.")
