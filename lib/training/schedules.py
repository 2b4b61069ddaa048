"""Learning rates as pure functions of the step, so nothing has to be saved to resume them."""

from __future__ import annotations

import math


def cosine_with_warmup(
    step:   int,        # 0 … steps − 1
    *,
    steps:  int,        # length of the whole run
    warmup: int = 0,    # steps of linear rise at the start
) -> float:
    """Share of the peak learning rate for one step, in (0, 1]: linear rise, then half a cosine (Loshchilov & Hutter 2017, eq. 5).

    The first step is above zero and the peak is reached after `warmup` steps. ValueError when the step lies outside the run.
    """
    return cosine_with_restarts(step, steps=steps, cycles=1, warmup=warmup)


def cosine_with_restarts(
    step:   int,        # 0 … steps − 1
    *,
    steps:  int,        # length of the whole run
    cycles: int,        # half cosines of equal length after the warm-up; each starts again at the peak
    warmup: int = 0,    # steps of linear rise at the start
) -> float:
    """Share of the peak learning rate for one step, in (0, 1]: as `cosine_with_warmup`, with warm restarts (there, §3, T_mult = 1)."""
    if not 0 <= step < steps:
        raise ValueError(f"step {step} lies outside a run of {steps} steps")
    if step < warmup:
        return (step + 1) / (warmup + 1)
    length = max(steps - warmup, 1)
    done = cycles * (step - warmup) % length / length       # share of the present cycle
    return (1 + math.cos(math.pi * done)) / 2


def constant_with_warmup(
    step:   int,        # 0 …
    *,
    warmup: int = 0,    # steps of linear rise at the start
) -> float:
    """Share of the peak learning rate for one step, in (0, 1]: linear rise, then the peak."""
    return min((step + 1) / (warmup + 1), 1.0)
