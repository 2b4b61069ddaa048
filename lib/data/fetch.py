"""Fetch one file over HTTP so that a cut connection costs next to nothing: what has come lies in NAME.part, and the next try goes on there.

pooch checks hashes but starts every download anew; `ResumingDownloader` is a downloader for it that does not.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_CHUNK = 1 << 14                # bytes; a cut connection loses at most so many
_PATIENCE = (10, 60)            # seconds to connect, and between two pieces
_HEADERS = {"User-Agent": "counterbalance (research; python-requests)", "Accept-Encoding": "identity"}


class FetchError(Exception):
    """A file could not be fetched; the message says what happened and what to do."""


class ResumingDownloader:
    """A downloader for `pooch.retrieve`: fetches into `part`, goes on where an earlier run stopped, and moves the whole file on.

    Beside `part` lies `part`.tag with the server's name for this version of the file (ETag or Last-Modified): where the file has
    changed since, the server sends it whole (If-Range) and the old beginning is dropped.
    """

    def __init__(
        self,
        part:     Path,                                     # NAME.part in the data set's folder
        *,
        tries:    int                                = 4,   # without any progress between them
        pause:    float                              = 2.0, # seconds before the second try; doubles
        progress: Callable[[int, int], None] | None  = None,    # called with (bytes here, bytes in all; 0: not known)
    ) -> None:
        self.part, self.tries, self.pause, self.progress = part, tries, pause, progress
        self.tag = part.with_name(part.name + ".tag")

    def __call__(self, url: str, output_file: str, _pooch: object = None) -> None:
        """Fetch `url` to `output_file`. Raises FetchError; what has come is kept."""
        import requests  # only here: --help must not wait for it

        failures, pause = 0, self.pause
        while True:
            before = self._have()
            try:
                if self._go_on(requests, url):
                    os.replace(self.part, output_file)
                    self.tag.unlink(missing_ok=True)
                    return
                problem = "the connection was closed early"
            except requests.exceptions.RequestException as error:
                problem = _plain(error)
            except OSError as error:
                raise FetchError(f"{self.part} could not be written: {error.strerror or error}") from None
            failures, pause = (failures + 1, pause) if self._have() <= before else (1, self.pause)
            if failures >= self.tries:
                came = f"; {self._have():,} bytes have come and are kept, the same command goes on from there" if self._have() else ""
                raise FetchError(f"{urlsplit(url).netloc} cannot be reached or stopped answering ({problem}){came}")
            time.sleep(pause)
            pause *= 2

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _go_on(self, requests, url: str) -> bool:
        """One request; True when the file is whole. Raises FetchError where trying again cannot help."""
        have, tag = self._have(), self.tag.read_text(encoding="utf-8") if self.tag.is_file() else ""
        if have and not tag:                                # nothing says which version the beginning is of
            self.part.unlink()
            have = 0
        headers = {**_HEADERS, **({"Range": f"bytes={have}-", "If-Range": tag} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=_PATIENCE) as answer:
            if answer.status_code == 416:                   # the beginning is longer than the file: not this file's
                self.part.unlink()
                return False
            if answer.status_code >= 500 or answer.status_code == 429:
                answer.raise_for_status()
            if answer.status_code not in (200, 206):
                raise FetchError(f"the server answers {answer.status_code} {answer.reason} for {url}")
            have = have if answer.status_code == 206 else 0     # 200: the server sends all of it, from the start
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else 0
            self.tag.write_text(_version(answer.headers), encoding="utf-8")
            with self.part.open("ab" if have else "wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    if self.progress is not None:
                        self.progress(have, total)
        return have == total or not total


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """A file's hash, read in pieces."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _version(headers) -> str:
    """A strong ETag, else the day of the last change; "" means that a cut download starts anew."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _plain(error: Exception) -> str:
    """The kind of failure in a few words, without the library's nested text."""
    name = type(error).__name__
    known = {"ConnectTimeout": "no connection in time", "ReadTimeout": "no answer in time", "ConnectionError": "no connection",
             "SSLError": "the certificate is not trusted", "ChunkedEncodingError": "the connection broke",
             "ProxyError": "the proxy refused"}
    return known.get(name, f"{name}: {error}" if name == "HTTPError" else name)
