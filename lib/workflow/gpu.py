"""A pool of GPUs shared by independent jobs: a file lock per GPU, held for as long as the job runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def gpu_slot(count: int, folder: Path, poll: float = 0.5) -> Iterator[int | None]:
    """Hold one of `count` GPUs and yield its index (None where there are none). Waits while all are taken; a dead holder frees its lock."""
    if count < 1:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / f"{index}.lock") for index in range(count)]
    index = _first_free(locks, poll)
    try:
        yield index
    finally:
        locks[index].release()


def _first_free(locks: list[FileLock], poll: float) -> int:
    while True:
        for index, lock in enumerate(locks):
            try:
                lock.acquire(timeout=0)
                return index
            except Timeout:
                continue
        time.sleep(poll)
