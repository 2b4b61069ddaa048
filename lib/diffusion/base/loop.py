"""A training loop that knows nothing of what it trains: AdamW, warm-up and cosine, averaged weights, checkpoints, lines of progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lib.training.checkpoints import load_checkpoint, save_checkpoint, told_when_full
from lib.training.schedules import cosine_with_warmup

_REPORT = 100           # steps between two lines of progress


@dataclass(frozen=True)
class Outcome:
    """What a training run came to."""

    steps:   int
    minutes: float      # of wall time, over all resumptions
    loss:    float      # mean over the last steps


def train(
    model:              nn.Module,                          # trained in place; holds the averaged weights at the end
    loss_of:            Callable[[int], torch.Tensor],      # step → loss; draws its batch from the step alone, so a resumed run repeats it
    *,
    steps:              int,
    folder:             Path,                               # for checkpoints
    fingerprint:        str,                                # of everything that decides the outcome
    learning_rate:      float,
    warmup:             int                 = 200,          # steps
    weight_decay:       float               = 0.01,         # on matrices and kernels only
    clip:               float               = 1.0,          # largest norm of the gradient
    average:            float               = 0.999,        # share of the old average that a step leaves (less at first)
    minutes:            float | None        = None,         # the schedule ends after so many, if `steps` would take longer
    checkpoint_minutes: float               = 3.0,
    say:                Callable[[str], None] = print,
) -> Outcome:
    """Train, or go on from the last checkpoint in `folder`; checkpoints stay until the caller has saved the result.

    With the same steps, seeds and threads a run that was killed ends bit-equal with one that was not; with `minutes` the length of
    the schedule follows the clock, so it does not. The average is exponential over the weights (Polyak & Juditsky 1992); buffers
    are taken as they are. Raises ArithmeticError when the loss is no longer a number, OSError where the disk is full; the last
    checkpoint stays.
    """
    optimizer = torch.optim.AdamW(_groups(model, weight_decay), lr=learning_rate, betas=(0.9, 0.99))
    averaged = {name: value.detach().clone() for name, value in model.named_parameters()}
    start, before, recent, newest = 0, 0.0, [], None
    found = load_checkpoint(folder, fingerprint=fingerprint, say=say)
    if found is not None:
        model.load_state_dict(found.state["model"])
        optimizer.load_state_dict(found.state["optimizer"])
        averaged = {name: value.clone() for name, value in found.state["averaged"].items()}
        start, before, recent, newest = found.step, found.state["minutes"], found.state["recent"], found.step
        say(f"resumed after step {start:,}")

    began = time.monotonic()
    spent, saved, step = before, before, start
    while step < steps and (minutes is None or spent < minutes):
        share = cosine_with_warmup(_place(step, steps, warmup, spent, minutes), steps=steps, warmup=warmup)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * share
        loss = loss_of(step)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ArithmeticError(f"step {step}: the loss is {value}; the last good checkpoint lies in {folder}. Lower the learning rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        step += 1
        keep = min(average, step / (step + 9))      # so the average does not hang on to the first weights
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                averaged[name].lerp_(parameter, 1 - keep)

        recent = [*recent[1 - _REPORT:], value]
        spent = before + (time.monotonic() - began) / 60
        if step % _REPORT == 0:
            pace = (step - start) / (time.monotonic() - began)
            say(f"step {step:,} of {steps:,}, loss {sum(recent) / len(recent):.4f}, {pace:.2f} steps/s, {spent:.1f} min")
        if spent - saved >= checkpoint_minutes:
            _save(folder, step, newest, fingerprint, model, optimizer, averaged, spent, recent)
            saved, newest = spent, step

    _save(folder, step, newest, fingerprint, model, optimizer, averaged, spent, recent)
    model.load_state_dict(averaged, strict=False)
    return Outcome(step, spent, sum(recent) / max(len(recent), 1))


def _save(folder: Path, step: int, newest: int | None, fingerprint: str, model: nn.Module, optimizer: torch.optim.Optimizer,
          averaged: dict, spent: float, recent: list[float]) -> None:
    state = {
        "model": dict(model.state_dict()), "averaged": averaged, "optimizer": optimizer.state_dict(), "minutes": spent, "recent": recent,
    }
    with told_when_full("base model", step, folder, newest):
        save_checkpoint(folder, step, state, fingerprint=fingerprint)


def _place(step: int, steps: int, warmup: int, spent: float, minutes: float | None) -> int:
    """Where in the schedule a step stands: by its number, or by the clock where that is further on."""
    if minutes is None or step < warmup:
        return step
    return min(max(step, int(steps * spent / minutes)), steps - 1)


def _groups(model: nn.Module, weight_decay: float) -> list[dict]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.dim() >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.dim() < 2], "weight_decay": 0.0},
    ]
