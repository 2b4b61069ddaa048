"""What lies in a folder of images: listed once, found by stem, never left.

Metadata tables often name files with the wrong extension or none (PAD-UFES-20 says .png for its .jpg), so a file is found by
its stem with any image extension. Links and paths that lead out of the folder are refused: a table from elsewhere must not
make us read whatever it names. A file whose name cannot be written into a table is refused, too, and so is a picture of a kind
that is not read (HEIC, DICOM, SVG …): it is part of what was handed in.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from lib.data.errors import DataError, counted
from lib.data.formats import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS

SKIPPED_FOLDERS = frozenset({"__MACOSX"})


@dataclass
class Listing:
    """The image files below a folder, as posix paths relative to it."""

    root:    Path
    files:   list[str]                                      # sorted
    refused: dict[str, str]                                 # file → reason (links that leave, names no table holds, kinds not read)
    twins:   dict[str, str] = field(default_factory=dict)   # file that by_stem chose → another file of the same stem

    @cached_property
    def stems(self) -> dict[str, list[str] | str]:
        """Stem → its file, or its files where there are several. A picture that is not read gives way to one that is."""
        return _index(self.files, lambda file: file[file.rfind("/") + 1:file.rfind(".")])

    @cached_property
    def bodies(self) -> dict[str, list[str] | str]:
        """Path without extension → its file, or its files where there are several; as `stems`."""
        return _index(self.files, lambda file: file[:file.rfind(".")])

    def by_stem(self, stem: str) -> str | None:
        """The file with this stem, whatever folder and extension; the first in alphabetical order, with a note, where there are several."""
        found = self.stems.get(stem)
        if not isinstance(found, list):
            return found
        self.twins[found[0]] = found[1]
        return found[0]

    def describe_twins(self, title: str) -> list[str]:
        """A note on the files that `by_stem` had to choose from several of one name."""
        if not self.twins:
            return []
        first, second = next(iter(self.twins.items()))
        return [f"{title}: {counted(len(self.twins), 'file name stands', 'file names stand')} in the folder more than once (first: {first} "
                f"and {second}); of each the first in alphabetical order is read. If the contents differ, take the wrong ones out"]

    def by_body(self, body: str) -> str | None:
        """The file at this path, whatever extension; the first in alphabetical order where there are several."""
        found = self.bodies.get(body)
        return found[0] if isinstance(found, list) else found

    def resolve(self, written: str) -> tuple[str | None, str | None]:
        """The file that a table's entry means, as (file, reason for refusal).

        Tried in turn: the path itself, the path with any image extension, and, for a bare name, the stem in any folder.
        (None, None) means that no such file lies here.
        """
        text = written.strip().replace("\\", "/")
        if not text:
            return None, "the row names no file"
        reason = leaves_root(text)
        if reason:
            return None, reason
        path = str(PurePosixPath(text))
        body = _composed(_body(path))
        found = self.bodies.get(body)
        if isinstance(found, list):
            own = next((file for file in found if _composed(file) == _composed(path)), None)
            return (own, None) if own else (None, f"{written!r} may be {found[0]} or {found[1]}; write the extension, too")
        if found is None and "/" not in path:
            found = self.stems.get(body)
            if isinstance(found, list):
                return None, f"{written!r} may be {found[0]} or {found[1]}; write the folder, too"
        if found is None and _extension(path) in IMAGE_EXTENSIONS and self.root is not None and (self.root / path).is_dir():
            return None, f"{written!r} is a folder, not a file"
        return found, None


def _index(files: list[str], key_of: Callable[[str], str]) -> dict[str, list[str] | str]:
    """Key → file; only where files share a key a list, because 100,000 lists would cost a second."""
    index: dict[str, list[str] | str] = {}
    unread = [file for file in files if _extension(file) in UNREAD_EXTENSIONS]
    set_back = set(unread)
    for file in files:
        if file in set_back:
            continue
        key = _composed(key_of(file))
        first = index.setdefault(key, file)
        if first is not file:
            index[key] = [*first, file] if isinstance(first, list) else [first, file]
    for file in unread:
        index.setdefault(_composed(key_of(file)), file)
    return index


def _composed(name: str) -> str:
    """One spelling for "ü" and "u with two dots", which some systems write and others read."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def leaves_root(written: str) -> str | None:
    """Why a path written in a table may not be followed; None when it stays inside its folder."""
    path = PurePosixPath(written)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", written):
        return f"{written!r} is a web address; fetch the file and write its path in the data folder"
    if path.is_absolute() or (len(written) > 1 and written[1] == ":"):
        return f"{written!r} is an absolute path; write it relative to the data folder"
    if ".." in path.parts:
        return f"{written!r} leads out of the data folder ('..')"
    return None


def list_images(root: Path) -> Listing:
    """List every image file below `root`, reading each folder once and opening no file.

    Hidden files are skipped. A link that stays inside `root` is followed if it is a file and skipped if it is a folder (its
    files are listed where they are); what is reached through a link that leaves `root` is listed as refused. So are a file whose
    path is not UTF-8 or has a backslash or line break (listed as \\xff and the like), and a picture of a kind that is not read.
    Raises DataError for a folder that may not be read: nobody could say how many images it hides.
    """
    found: list[str] = []
    refused: dict[str, str] = {}
    _walk(str(root), "", os.path.realpath(root), None, found, refused)
    return Listing(root, sorted(found), refused)


def _walk(folder: str, prefix: str, real_root: str, reason: str | None, found: list[str], refused: dict[str, str]) -> None:
    subfolders = []
    try:
        opened = os.scandir(folder)
    except OSError as error:
        shown = _printable(folder)[0]
        raise DataError(f"{shown}: the folder cannot be read ({error.strerror}); give leave to read it, or move it away") from None
    with opened as entries:
        for entry in entries:
            name = entry.name
            if name[0] == "." or name in SKIPPED_FOLDERS:
                continue
            relative, why = prefix + name, reason
            if entry.is_symlink():
                outside, shown = not lies_inside(os.path.realpath(entry.path), real_root), _printable(relative)[0]
                why = reason or (f"{shown} is a link that leaves the data folder; copy its target into the folder" if outside else None)
                if os.path.isdir(entry.path):               # not entry.is_dir(), which fails on a link to itself
                    if outside and reason is None:
                        subfolders.append((entry.path, relative + "/", why))
                    continue
            elif entry.is_dir():
                if reason is None:                          # outside, one folder is listed so that it can be reported, no more
                    subfolders.append((entry.path, relative + "/", why))
                continue
            extension = _extension(name)
            if extension in IMAGE_EXTENSIONS or extension in UNREAD_EXTENSIONS:
                shown, odd = _printable(relative)
                if extension in UNREAD_EXTENSIONS:
                    odd = odd or f"{UNREAD_EXTENSIONS[extension]} pictures are not read; save it as JPEG or PNG"
                found.append(shown)
                if why or odd:
                    refused[shown] = why or odd
    for path, inner, why in subfolders:
        _walk(path, inner, real_root, why, found, refused)


def _printable(relative: str) -> tuple[str, str | None]:
    """The path as tables can hold it, and why its file cannot be used where that is another path than the file's."""
    shown = relative if relative.isascii() else os.fsencode(relative).decode("utf-8", "backslashreplace")
    if shown != relative:
        return shown, f"{shown}: the name is not UTF-8 text; rename the file"
    if any(unicodedata.category(c) == "Cc" for c in shown):
        shown = "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) == "Cc" else c for c in shown)
        return shown, f"{shown}: the name has a line break or another control character; rename the file"
    return shown, f"{shown}: the name has a backslash, which tables read as a folder; rename the file" if "\\" in shown else None


def lies_inside(path: str, real_root: str) -> bool:
    """Whether a path without links is a folder or below it."""
    return path == real_root or path.startswith(real_root.rstrip(os.sep) + os.sep)


def _extension(name: str) -> str:
    return name[name.rfind("."):].lower()


def _body(path: str) -> str:
    """The path without its extension, where that is an image's."""
    body, extension = os.path.splitext(path)
    return body if extension.lower() in IMAGE_EXTENSIONS or extension.lower() in UNREAD_EXTENSIONS else path


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
