"""Shards that a run was cut into before: a request's image is the same in every cut, so a new cut takes over what an earlier one drew."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lib.diffusion.requests import Requests

_NAME = re.compile(r"(.*)shard-(\d+)-of-(\d+)")         # as the workflow names the chunks of 05


@dataclass(frozen=True)
class Shard:
    """Where a part of a run keeps what it drew; see `lib.diffusion.generate.generate`."""

    requests: Requests
    folder:   Path
    journal:  Path


def other_cuts(
    requests: Requests,             # of the whole run
    folder:   Path,                 # of this shard, "…/shard-2-of-3"; those of others lie beside it
    work:     Path,                 # holds the journals of all shards, "shard-2-of-3.jsonl"
) -> list[Shard]:
    """Shards of cuts into other numbers that hold some of this one's requests, as far as they have a journal.

    Whether what they drew still fits is not looked at. ValueError where `folder` is not named as a shard.
    """
    own = _NAME.fullmatch(folder.name)
    if own is None:
        raise ValueError(f"{folder}: the name is not that of a shard; expected one such as shard-2-of-3")
    kind, index, cut = own[1], int(own[2]), int(own[3])
    wanted, found = requests.shard(index - 1, cut).numbers, []
    for path in sorted(work.glob("*.jsonl")):
        name = _NAME.fullmatch(path.stem)
        if name is None or name[1] != kind or int(name[3]) == cut or not 1 <= int(name[2]) <= int(name[3]):
            continue
        part = requests.shard(int(name[2]) - 1, int(name[3]))
        if max(part.numbers.start, wanted.start) < min(part.numbers.stop, wanted.stop):
            found.append(Shard(part, folder.with_name(path.stem), path))
    return found
