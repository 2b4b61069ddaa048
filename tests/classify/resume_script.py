"""Trains a cell in processes that are killed on the way; run by test_resume.py as FOLDER DATA KIND:MOMENT …

Prints a line per process: the signal that ended it and the first step that it took.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch._dynamo  # noqa: F401 (every optimizer loads it on first use; once here saves seconds in each process)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lib import files
from lib.classify.grid import Cell
from lib.classify.pool import real_pool
from lib.classify.train import train_cell
from lib.study import Classifier, Compute

OPTIONS = Classifier(epochs=5, batch_size=16, patience=10)
CELL = Cell("classical", "small_cnn", 0)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, data: Path, kind: str, moment: int) -> None:
    """Die inside an epoch (after step `moment`), between epochs (after epoch `moment`) or while that epoch's checkpoint is written."""
    first = folder.parent / "first_step"
    first.unlink(missing_ok=True)

    def progress(step: int, steps: int, row: dict | None) -> None:
        if not first.exists():
            first.write_text(str(step))
        if (kind == "inside" and step == moment and row is None) or (kind == "between" and row and row["epoch"] == moment):
            die()

    if kind == "writing":
        to_disk = files._to_disk

        def fsync(path: Path) -> None:
            if f"step-{moment:010d}" in path.name:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                die()
            to_disk(path)

        files._to_disk = fsync
    pixels, samples = np.load(data / "pixels.npy", mmap_mode="r"), pd.read_parquet(data / "samples.parquet")
    compute = Compute(device="cpu", threads=1)
    train_cell(CELL, real_pool(samples, pixels), ["red", "green", "blue"], OPTIONS, folder=folder, compute=compute, fingerprint="x",
               progress=progress)


if __name__ == "__main__":
    target, source = Path(sys.argv[1]), Path(sys.argv[2])
    for plan in sys.argv[3:]:
        how, when = plan.split(":")
        child = os.fork()                   # before torch has started any thread; saves importing it for each process
        if child == 0:
            main(target, source, how, int(when))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(status & 127, (target.parent / "first_step").read_text(), flush=True)
