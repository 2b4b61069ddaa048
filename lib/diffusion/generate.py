"""Draw what is asked for, batch by batch, with a journal: a run that is killed loses one batch at most and repeats nothing else.

It knows nothing of diffusion: a sampler is anything that turns requests into images.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from PIL import Image

from lib.data.images import read_image
from lib.diffusion.image_files import is_whole, put, put_again
from lib.diffusion.journal import Journal, Line
from lib.diffusion.requests import Request, Requests
from lib.diffusion.shards import Shard
from lib.files import remove_leftovers
from lib.study import Generation
from lib.study import fingerprint as digest
from lib.tables import SYNTHETIC

Accept = Callable[[np.ndarray], str | None]             # image uint8 [H, W, 3] → None, or why it is refused
Progress = Callable[[int, int], None]                   # images finished (accepted or given up), images asked for

_ADOPTED_AT_ONCE = 1024                                 # attempts of another shard that are brought to disk together


class Sampler(Protocol):
    """What draws. `DiffusionSampler` is one; a test's stub, or a GAN, is another."""

    batch_size: int

    def __call__(self, requests: Sequence[Request]) -> list[np.ndarray | None]:
        """Images uint8 [H, W, 3] of up to `batch_size` requests with different slots; None where the pixels were not finite."""

    def describe(self) -> dict[str, Any]:
        """Columns of the `synthetic` table that are the same for every image: generator, steps, device, …"""

    def deciding(self) -> Any:
        """What else decides the images, as plain values: work drawn with something else is not taken over."""

    def trace(self, request: Request) -> dict[str, Any]:
        """Columns that only the sampler knows for an image: start, anchor_colour; they go before what the request says."""


@dataclass(frozen=True)
class Drawn:
    """A finished run, on disk under `folder`; the table is put together when asked for."""

    images:   int                   # accepted
    given_up: int                   # requests that used all their attempts
    attempts: int
    rows:     Callable[[], Iterator[dict[str, Any]]]        # of the `synthetic` table, one by one, in the order of the requests

    @property
    def rejection_rate(self) -> float:
        """Share of attempts that were refused."""
        return 1 - self.images / self.attempts if self.attempts else 0.0

    def table(self) -> pd.DataFrame:
        """The `synthetic` table: a row per attempt."""
        frame = pd.DataFrame(list(self.rows()), columns=list(SYNTHETIC.columns), dtype=object)
        return frame.astype({name: str(column.dtype) for name, column in SYNTHETIC.columns.items()})


def generate(
    requests:    Requests,                       # of the study, or of one shard
    sampler:     Sampler,
    *,
    folder:      Path,                           # gets images/<cell>/<image_id>.png
    accept:      Accept,                         # cheap checks; see `basic_checks`
    attempts:    int,                            # per request, ≥ 1
    provenance:  Mapping[str, Any],              # columns the sampler cannot know: base_model, base_sha256, token_sha256, …
    journal:     Path | None                  = None,   # what was drawn, line by line; default: journal.jsonl in `folder`
    fingerprint: Any                          = None,   # plain values for what decides images and is not seen here: code, other checks
    others:      Iterable[Shard]              = (),     # of the same run, cut otherwise before; see `lib.diffusion.shards.other_cuts`
    progress:    Progress | None              = None,
    say:         Callable[[str], None] | None = None,   # gets a sentence on what on disk is (not) used; default: the log
) -> Drawn:
    """Draw every request until it is accepted or out of attempts, from where an earlier call stopped; the same call resumes.

    A refused image is tried again with the seed of its next attempt in its own slot, so neither batches, shards nor interruptions change
    a byte. An image that is missing or altered on disk is drawn again. Memory does not grow with the number of images (two bytes each).
    With more attempts only what was given up is tried on; with fewer, later attempts do not count.
    Work of other requests, other models or another build in `folder` is deleted, and `say` is told. What `others` drew of these requests,
    with the same models and build, is taken over instead of being drawn; their files stay where they are.
    Raises OSError where the disk is full (what is drawn stays), ValueError where sampler and requests disagree on the batch size.
    """
    folder, say = Path(folder), say or logging.getLogger(__name__).warning
    journal = folder / "journal.jsonl" if journal is None else Path(journal)
    if sampler.batch_size != requests.generation.batch_size:
        raise ValueError(f"the sampler draws batches of {sampler.batch_size}, and the requests are laid out for batches of "
                         f"{requests.generation.batch_size}; make both from the same generation section")
    columns = {**sampler.describe(), **provenance}
    basic = requests.generation.model_dump(mode="json", include={"brightness", "minimum_contrast"})

    def mark(some: Requests) -> str:
        return digest({"requests": some.describe(), "columns": columns, "sampler": sampler.deciding(), "checks": basic,
                       "given": fingerprint})

    run = _Run(requests, sampler, folder, Journal(journal, mark(requests)), accept, attempts, say)
    try:
        run.run(((Journal(other.journal, mark(other.requests)), other.folder) for other in others), progress)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(error.errno, "generation: the disk is full. Every finished batch is kept; free some space and run the same command "
                                    "again", str(folder)) from None
    return Drawn(sum(run.accepted), len(requests) - sum(run.accepted), sum(run.tried), lambda: _rows(run, columns))


def basic_checks(generation: Generation) -> Accept:
    """The cheap checks of the study: the image's mean between `brightness`, its standard deviation from `minimum_contrast` on, both 0–1."""
    low, high = generation.brightness

    def accept(image: np.ndarray) -> str | None:
        mean, spread = float(image.mean()) / 255, float(image.std()) / 255
        if mean < low:
            return "too dark"
        if mean > high:
            return "too bright"
        return "too little contrast" if spread < generation.minimum_contrast else None

    return accept


def image_path(request: Request) -> Path:
    """Where an image lies, relative to the folder of its run."""
    return Path("images") / request.cell.slug / f"{request.image_id}.png"


class KeptPictures(Sequence[np.ndarray]):
    """Images uint8 [S, S, 3] that `generate` left in `folder`, in the order of `paths`; each is read when it is looked at, none is kept."""

    def __init__(self, folder: Path, paths: Sequence[str]):
        self._folder, self._paths = Path(folder), list(paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: int) -> np.ndarray:
        return read_image(self._folder / self._paths[place])


def png_bytes(image: np.ndarray) -> bytes:
    """The image as a PNG file; the same build of Pillow gives the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def _rows(run: _Run, columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    lines = {(line.number, line.attempt): line for line in run.journal.lines() if line.attempt <= run.attempts}
    for number, attempt in sorted(lines):
        line, request = lines[number, attempt], run.requests.request(number, attempt)
        yield {
            **columns,
            "image_id": request.image_id, "label": request.label, "diagnosis": request.label, "tone_key": request.tone,
            "tone": request.tone_type, "group": request.group, "domain": request.domain, "prompt": request.prompt,
            "negative_prompt": request.negative_prompt, "seed": request.seed, "slot": request.slot,
            "source_image_id": request.source_image_id, "attempt": attempt, "accepted": line.reason is None, "reason": line.reason,
            "path": image_path(request).as_posix() if line.reason is None else None, "sha256": line.sha256,
            **run.sampler.trace(request),
        }


class _Run:
    """What a run remembers of each request: how often it was tried, and whether an image was accepted."""

    def __init__(self, requests: Requests, sampler: Sampler, folder: Path, journal: Journal, accept: Accept, attempts: int,
                 say: Callable[[str], None]):
        self.requests, self.sampler, self.folder, self.accept, self.say = requests, sampler, folder, accept, say
        self.attempts, self.first = attempts, requests.numbers.start
        self.tried, self.accepted = bytearray(len(requests)), bytearray(len(requests))
        self.done = 0                                   # accepted, or out of attempts
        self.waiting: deque[int] = deque()              # numbers whose last attempt was refused
        self.journal = journal
        self._take_over()

    def run(self, others: Iterable[tuple[Journal, Path]], progress: Progress | None) -> None:
        """All batches, then the refused ones among themselves, less what lies in the journals and folders of `others`."""
        size, numbers = self.sampler.batch_size, self.requests.numbers
        with self.journal:
            if self.done < len(numbers):
                self._adopt(others)
            for start in range(0, len(numbers), size):
                self._draw([number for number in numbers[start:start + size] if not self._finished(number)], progress)
                while len(self.waiting) >= size:
                    self._draw(self._next_waiting(), progress)
            while self.waiting:
                self._draw(self._next_waiting(), progress)

    def _draw(self, numbers: list[int], progress: Progress | None) -> None:
        """One more attempt for each of up to a batch of requests."""
        if not numbers:
            return
        requests = [self.requests.request(number, self.tried[number - self.first] + 1) for number in numbers]
        lines = []
        for request, image in zip(requests, self.sampler(requests), strict=True):
            reason = "not finite" if image is None else self.accept(image)
            lines.append(Line(request.number, request.attempt, reason, self._keep(request, image) if reason is None else None))
        self.journal.append(lines)
        for line in lines:
            self._remember(line)
            if not self._finished(line.number):
                self.waiting.append(line.number)
        if progress:
            progress(self.done, len(self.requests))

    def _keep(self, request: Request, image: np.ndarray) -> str:
        """Write the image; its hash."""
        content = png_bytes(image)
        put(self.folder / image_path(request), lambda temporary: temporary.write_bytes(content))
        return hashlib.sha256(content).hexdigest()

    def _next_waiting(self) -> list[int]:
        """As many as fit one batch: the first of each slot."""
        chosen: dict[int, int] = {}
        left: deque[int] = deque()
        for number in self.waiting:
            slot = number % self.sampler.batch_size
            if slot in chosen:
                left.append(number)
            else:
                chosen[slot] = number
        self.waiting = left
        return list(chosen.values())

    def _remember(self, line: Line) -> None:
        place, before = line.number - self.first, self._finished(line.number)
        self.tried[place], self.accepted[place] = line.attempt, line.reason is None
        self.done += self._finished(line.number) - before

    def _finished(self, number: int) -> bool:
        place = number - self.first
        return bool(self.accepted[place]) or self.tried[place] >= self.attempts

    def _take_over(self) -> None:
        """What an earlier call left: its lines where it is the same run and the files fit, else nothing."""
        if not self.journal.belongs():
            if self.journal.path.exists():
                self.say(f"{self.folder}: drawn under another configuration (or its journal is damaged); drawing again")
            self.journal.path.unlink(missing_ok=True)
            shutil.rmtree(self.folder / "images", ignore_errors=True)
            return
        for cell in (self.folder / "images").glob("*"):
            remove_leftovers(cell)
        lost = 0
        for line in self.journal.lines():
            if line.attempt > self.attempts:                    # of a call that allowed more
                (self.folder / self._name(line)).unlink(missing_ok=True)
                continue
            fits = line.reason is not None or is_whole(self.folder / self._name(line), line.sha256)
            lost += not fits
            self._remember(line if fits else line._replace(attempt=line.attempt - 1, reason="lost"))
        if lost:
            self.say(f"{self.folder}: {lost} images are missing or not the ones that were drawn; drawing them again")

    def _adopt(self, others: Iterable[tuple[Journal, Path]]) -> None:
        """Take over what others drew of requests that are not finished."""
        adopted, found = 0, self._found_in(others)
        while lines := list(islice(found, _ADOPTED_AT_ONCE)):
            self.journal.append(lines)
            adopted += len(lines)
        if adopted:
            self.say(f"{self.folder}: {adopted:,} attempts are taken over from shards that the run was cut into before")

    def _found_in(self, others: Iterable[tuple[Journal, Path]]) -> Iterator[Line]:
        """The next attempts of unfinished requests, with their images in place; where a file does not fit, its attempt is left out."""
        for journal, folder in others:
            for line in journal.lines():
                wanted = line.number in self.requests.numbers and not self._finished(line.number)
                if not wanted or line.attempt != self.tried[line.number - self.first] + 1:
                    continue
                if line.reason is None:
                    if not is_whole(folder / self._name(line), line.sha256):
                        continue
                    put_again(folder / self._name(line), self.folder / self._name(line))
                self._remember(line)
                yield line

    def _name(self, line: Line) -> Path:
        return image_path(self.requests.request(line.number, line.attempt))
