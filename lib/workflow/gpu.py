"""A pool of GPUs shared by independent jobs: how many there are, and a file lock per GPU, held for as long as the job runs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def count_gpus() -> int:
    """GPUs this process may use: those CUDA_VISIBLE_DEVICES names, else those the driver lists; 0 where there is no driver."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return len(_named())
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.splitlines())


def visible_devices(slot: int | None) -> str:
    """CUDA_VISIBLE_DEVICES for the job that holds a slot: that GPU of the ones we were given; none for a job without a slot."""
    if slot is None:
        return ""
    named = _named()
    return named[slot] if slot < len(named) else str(slot)


def _named() -> list[str]:
    return [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]


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
