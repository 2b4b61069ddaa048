"""The rows of a training's history as TensorBoard scalars, for `tensorboard --logdir`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def tensorboard(folder: Path) -> Iterator[Callable[[str, dict], None]]:
    """Inside, what is called with a run's hash and a row {"iteration": …, name: number, …} writes its numbers, but for NaN, as events.

    They lie in `folder` with the hash's first digits behind its name: curves of another run lie beside them, not among them. A run that
    was killed and went on tells the rows since its last checkpoint again; they are the same points. Where nothing is told, nothing is
    written.
    """
    with ExitStack() as opened:
        writer = None

        def log(run: str, row: dict) -> None:
            nonlocal writer
            if writer is None:
                from torch.utils.tensorboard import SummaryWriter  # takes a second that others need not wait

                writer = opened.enter_context(SummaryWriter(f"{folder}-{run[:6]}"))
            for name, value in row.items():
                if name != "iteration" and not math.isnan(value):
                    writer.add_scalar(name, value, row["iteration"])

        yield log
