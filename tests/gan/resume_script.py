"""Trains a GAN in processes that are killed on the way; run by test_train.py as FOLDER PIXELS KIND:MOMENT …

Prints a line per process: the signal that ended it and the first iteration that it finished.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch._dynamo  # noqa: F401 (every optimizer loads it on first use; once here saves seconds in each process)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lib import files
from lib.gan.train import train_gan
from lib.study import Compute, Gan

OPTIONS = Gan(image_size=32, latent=4, features_g=1, features_d=1, batch_size=4, critic_steps=2, iterations=24, checkpoint_every=7,
              grid_every=8, augmentation="differentiable", quality_every=12)
CPU = Compute(device="cpu", threads=1)


def score(model, iteration: int) -> float:
    return iteration + float(model.generator.image.bias.sum())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, pixels: Path, kind: str, moment: int) -> None:
    """Die after iteration `moment`, or while the file whose name holds that number is written."""
    first = folder.parent / "first_iteration"
    first.unlink(missing_ok=True)

    def progress(done: int, iterations: int, row: dict | None) -> None:
        if not first.exists():
            first.write_text(str(done))
        if kind == "after" and done == moment:
            die()

    if kind == "writing":
        to_disk = files._to_disk

        def fsync(path: Path) -> None:
            if f"{moment:08d}" in path.name:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                die()
            to_disk(path)

        files._to_disk = fsync
    train_gan(np.load(pixels, mmap_mode="r"), ["disc"] * 12, OPTIONS, folder=folder, fingerprint="x", compute=CPU, quality=score,
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
        print(status & 127, (target.parent / "first_iteration").read_text(), flush=True)
