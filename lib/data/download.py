"""Fetch a data set: `python -m lib.data.download NAME [--to DATA_ROOT]`.

Every file is checked: against its published hash where one is known, else against the hash that the first download recorded in
`downloads.yaml` beside the data (trust on first use, said so). Running the same command again goes on where it stopped.
Exit status: 0 all that can be fetched is here, 1 it is not (the text says why and what to do), 2 the command is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from lib.data.downloads import FILES, STEPS, RemoteFile
from lib.data.fetch import FetchError, ResumingDownloader, file_hash
from lib.data.info import INFO, find_info
from lib.data.root import data_root
from lib.data.unpack import UnpackError, unpack_zip

RECORD = "downloads.yaml"
_NAMES = [name for name in INFO if name in FILES or name in STEPS]


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.data.download", description="Fetch a public data set, check it and unpack it.",
                                     epilog="Exit status: 0 all that can be fetched is here, 1 it is not, 2 the command is wrong.")
    parser.add_argument("name", metavar="NAME", help=", ".join(_NAMES))
    parser.add_argument("--to", type=Path, metavar="DATA_ROOT",
                        help="folder of all data sets (default: $DATA_ROOT, else data/ in the checkout)")
    options = parser.parse_args(arguments)
    if options.name not in _NAMES:
        try:
            find_info(options.name)
            parser.error(f"{options.name} is not fetched: it is your own or drawn here; there are {', '.join(_NAMES)}")
        except ValueError as error:
            parser.error(str(error))
    root = options.to or data_root()
    try:
        return 0 if download(options.name, root) else 1
    except (FetchError, UnpackError, OSError) as error:
        print(f"{options.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 1


def download(
    name: str,                                  # a data set of FILES or STEPS
    root: Path,                                 # DATA_ROOT
    *,
    files: tuple[RemoteFile, ...] | None = None,    # default: those of FILES
    say:   Callable[[str], None]         = print,
) -> bool:
    """Fetch what can be fetched of a data set and say the rest; whether its table is here afterwards.

    Raises FetchError or UnpackError naming the address and where a file fetched by hand belongs.
    """
    info = INFO[name]
    folder = root / info.folder
    say(f"{info.title}: {info.source}")
    say(f"  licence: {info.licence}")
    if info.citation:
        say(f"  please cite: {info.citation}")
    say(f"  folder: {folder}")
    for file in FILES.get(name, ()) if files is None else files:
        _provide(file, folder, say)
    if name in STEPS:
        say("To do by hand:")
        for number, step in enumerate(STEPS[name], 1):
            say(f"  {number}. {step}")
    return any(found.is_file() for pattern in info.table for found in folder.glob(pattern))


def _provide(file: RemoteFile, folder: Path, say: Callable[[str], None]) -> None:
    """One file, fetched where it is not here, checked, unpacked if it is a zip, and noted in the record."""
    record = _read_record(folder)
    known = record.get(file.name, {})
    path, zipped = folder / file.name, file.name.endswith(".zip")
    if zipped and known.get("unpacked") and not path.exists():
        say(f"  {file.name}: fetched and unpacked already ({known['unpacked']:,} files); to fetch it again, delete its entry in {RECORD}")
        return
    expected = file.hash or (f"sha256:{known['sha256']}" if "sha256" in known else None)
    if path.is_file():
        algorithm, _, wanted = (expected or "sha256:").partition(":")
        found = file_hash(path, algorithm)
        if wanted and found != wanted:
            raise FetchError(f"{path} is not the file that is expected ({algorithm} {found}, expected {wanted}). Move it away and run the "
                             "same command again")
        say(f"  {file.name}: here already, {'as published' if file.hash else 'unchanged' if wanted else 'taken as it is'}")
    else:
        say(f"  {file.name}: fetching {file.url}")
        _fetch(file, folder, expected)
    if not file.hash and not known:
        say(f"    no published hash is known for it: its sha256 is recorded in {RECORD} and every later download is compared with that")
    entry = {"url": file.url, "sha256": file_hash(path), "bytes": path.stat().st_size,
             "checked": "against the published hash" if file.hash else "recorded on first download"}
    _write_record(folder, {**record, file.name: {**known, **entry}})
    if zipped:
        count = unpack_zip(path, folder / file.into, progress=_bar("unpacking"))
        _write_record(folder, {**_read_record(folder), file.name: {**entry, "unpacked": count}})
        path.unlink()
        say(f"    {count:,} files in {folder / file.into}")


def _fetch(file: RemoteFile, folder: Path, expected: str | None) -> None:
    import pooch  # slow to import, and not needed for --help or for files that are here

    folder.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("ERROR")
    downloader = ResumingDownloader(folder / f"{file.name}.part", progress=_bar("fetching", file.size))
    try:
        pooch.retrieve(file.url, known_hash=expected, fname=file.name, path=folder, downloader=downloader)
    except FetchError as error:
        raise FetchError(f"{error}. Or fetch {file.url} by hand, put it at {folder / file.name}, and run the same command: "
                         "it will be checked and unpacked") from None
    except ValueError as error:                 # pooch's word for a hash that does not match; it has deleted the file
        raise FetchError(f"{file.name} came with another content than expected ({expected}): {str(error).splitlines()[0]} It was deleted. "
                         f"If the publisher has replaced {file.url} on purpose, take the line out of {folder / RECORD}"
                         if not file.hash else
                         f"{file.name} is not the published file ({expected}) and was deleted. Run the same command again; if it stays so, "
                         f"the file at {file.url} was changed") from None


def _read_record(folder: Path) -> dict[str, dict]:
    import yaml

    path = folder / RECORD
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise FetchError(f"{path} is not a record of downloads; delete it (files are then taken as they are)")
    return found


def _write_record(folder: Path, record: dict[str, dict]) -> None:
    import yaml

    from lib.files import write_atomically

    text = yaml.safe_dump(dict(sorted(record.items())), allow_unicode=True, sort_keys=True)
    write_atomically(folder / RECORD, lambda path: path.write_text(text, encoding="utf-8"))


def _bar(what: str, size: int | None = None) -> Callable[[int, int], None] | None:
    """A line that counts on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        whole = total or size or 0
        share = f" {done / whole:4.0%}" if whole else ""
        print(f"\r    {what}{share} {done:,}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
