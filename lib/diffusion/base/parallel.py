"""One training over several processes of one thread each: on few cores that is quicker than one process of several threads."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn

from lib.process import die_with_parent


@dataclass(frozen=True)
class Part:
    """Which share of every batch this process takes."""

    rank: int = 0
    of:   int = 1

    def say(self, line: str) -> None:
        """Only the first process speaks."""
        if self.rank == 0:
            print(line, flush=True)

    def checkpoint_minutes(self, usual: float = 3.0) -> float:
        """Only the first process saves on the way; all of them go on from what it saved, as their weights are the same."""
        return usual if self.rank == 0 else math.inf

    def wait(self) -> None:
        """For the others to come here too."""
        if self.of > 1:
            distributed.barrier()


WHOLE = Part()


def side_by_side(
    work:      Callable[[Part], None],      # importable, so that a fresh process finds it; gets its part
    processes: int,
) -> None:
    """Run `work` in so many processes at once and wait. The first failure stops them all and is raised here."""
    if processes == 1:
        work(WHOLE)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_join, args=(work, processes, folder), nprocs=processes)


def share_gradients(model: nn.Module, part: Part) -> None:
    """From now on every gradient of `model` is the mean over the processes; all of them must take the same steps.

    Every parameter must have a gradient in every step.
    """
    if part.of == 1:
        return

    parameters, ready = [parameter for parameter in model.parameters() if parameter.requires_grad], []

    def arrived(parameter: nn.Parameter) -> None:
        ready.append(parameter)
        if len(ready) < len(parameters):
            return
        ready.clear()
        together = torch.cat([parameter.grad.flatten() for parameter in parameters])     # one message, not hundreds
        distributed.all_reduce(together)
        together /= part.of
        for parameter, mean in zip(parameters, together.split([parameter.numel() for parameter in parameters]), strict=True):
            parameter.grad.copy_(mean.view_as(parameter))

    for parameter in parameters:
        parameter.register_post_accumulate_grad_hook(arrived)


def _join(rank: int, work: Callable[[Part], None], processes: int, folder: str) -> None:
    die_with_parent()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{Path(folder) / 'meeting'}", rank=rank, world_size=processes)
    try:
        work(Part(rank, processes))
    finally:
        distributed.destroy_process_group()
