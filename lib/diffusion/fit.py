"""A training loop that knows nothing of what it trains: micro batches, clipping, validation, early stopping, checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch.nn import Parameter

from lib.study.generate import Training
from lib.training.checkpoints import load_checkpoint, save_checkpoint, told_when_full, what_stays
from lib.training.errors import TrainingDivergedError
from lib.training.seeds import seeded

_ROWS, _SHORTEST = 200, 10      # about so many rows of history, of at least so many steps: reading a loss makes a GPU wait

Progress = Callable[[int, int, dict | None], None]      # steps done, steps of the full budget, where one is due a row of the history


@dataclass(frozen=True)
class Fitted:
    """What a training run came to."""

    state:     dict[str, torch.Tensor]    # name → value at `best_step`, on the CPU
    history:   pd.DataFrame               # step, loss and gradient_norm (means since the row before), learning_rate, score (NaN: none);
                                          # its first row is step 0, without a loss, where `before` is given
    best_step: int                        # of the lowest score, the first of equals (0: the start); the last step where nothing was scored
    stopped:   str                        # why it ended, in words


def fit(
    step:      Callable[[int, int], torch.Tensor],      # (optimiser step, micro batch), from 0 → mean loss; draws from these two alone
    trainable: Mapping[str, Parameter],                 # what the optimiser holds, fp32; changed in place
    optimizer: torch.optim.Optimizer,                   # its groups' learning rates are the peaks
    rate:      Callable[[int], float],                  # optimiser step → share of the peak learning rate
    *,
    options:     Training,
    section:     str,                                           # where `options` stand in the study, for messages: "diffusion.tokens"
    folder:      Path,                                          # of the checkpoints of this run alone
    fingerprint: str,                                           # of everything that decides the outcome
    accelerator: Accelerator,
    validate:    Callable[[int], float | None] | None = None,   # steps done → score, lower is better; None: no score this time
    before:      float | None                         = None,   # score of the state that it starts from, which then is a candidate
    after_step:  Callable[[int], None] | None         = None,   # called with the optimiser step, once it is done
    progress:    Progress | None                      = None,
    say:         Callable[[str], None] | None         = None,   # default: a warning in the log
) -> Fitted:
    """Train to the end of `options.steps`, from the last checkpoint in `folder` on; the caller deletes the checkpoints when all is saved.

    A run that was killed ends bit-equal on the CPU with one that was not. torch's own generators (dropout) are seeded by (seed, step,
    micro batch). Under several processes the micro batches of a step are dealt among them, so their number does not change what is learnt.
    Raises TrainingDivergedError naming the step where loss or gradient is no longer a number (earlier checkpoints stay), OSError where the
    disk is full, ValueError where `options.accumulation` cannot be dealt among the processes.
    """
    run = _Run(dict(trainable), optimizer, options, section, folder, fingerprint, accelerator, say or logging.getLogger(__name__).warning)
    run.resume()
    if before is not None and not run.history:
        run.start_from(before)
    patience = options.patience or math.inf
    while run.done < options.steps and run.validations_since_best() < patience:
        run.train(step, rate)
        if after_step:
            after_step(run.done - 1)
        last, row = run.done == options.steps, None
        validated = validate is not None and (last or (options.validate_every and run.done % options.validate_every == 0))
        saved = last or run.done % options.checkpoint_every == 0
        if validated or saved or run.done % max(_SHORTEST, options.steps // _ROWS) == 0:
            row = run.close_row(validate if validated else None)
        if saved or run.validations_since_best() >= patience:
            run.save()
        if progress:
            progress(run.done, options.steps, row)
    early = run.done < options.steps
    stopped = f"{options.patience} validations without a better score" if early else f"all {options.steps:,} steps done"
    return Fitted(run.best or run.state(), pd.DataFrame(run.history), run.best_step(), stopped)


def machine_of(accelerator: Accelerator, network: torch.nn.Module) -> list:
    """What the last bits of a training depend on beside its data and options; part of its fingerprint."""
    return [torch.__version__, torch.get_num_threads(), accelerator.device.type, accelerator.mixed_precision, str(network.dtype)]


class _Run:
    """What changes from step to step."""

    def __init__(
        self,
        trainable:   dict[str, Parameter],
        optimizer:   torch.optim.Optimizer,
        options:     Training,
        section:     str,
        folder:      Path,
        fingerprint: str,
        accelerator: Accelerator,
        say:         Callable[[str], None],
    ):
        self.trainable, self.options, self.section = trainable, options, section
        self.folder, self.fingerprint, self.accelerator, self.say = Path(folder), fingerprint, accelerator, say
        processes = accelerator.num_processes
        if options.accumulation % processes:
            raise ValueError(f"{section}.accumulation is {options.accumulation} and {processes} processes share the batches of a step; "
                             f"make it a multiple of {processes}")
        self.peaks = [group["lr"] for group in optimizer.param_groups]
        self.optimizer = accelerator.prepare(optimizer)
        self.done, self.saved = 0, None                                                       # steps; the step of the newest checkpoint
        self.history: list[dict] = []
        self.best: dict[str, torch.Tensor] = {}
        self.losses: list[torch.Tensor] = []                                                  # on the device, since the last row
        self.norms: list[torch.Tensor] = []

    def train(self, step: Callable, rate: Callable[[int], float]) -> None:
        """One optimiser step. Nothing in it waits for the device."""
        accelerator, options = self.accelerator, self.options
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * rate(self.done)
        total = torch.zeros((), device=accelerator.device)
        for micro in range(accelerator.process_index, options.accumulation, accelerator.num_processes):
            with seeded(options.seed, "fit", self.done, micro), accelerator.autocast():
                loss = step(self.done, micro) / options.accumulation
            accelerator.backward(loss)
            total += loss.detach()
        if accelerator.num_processes > 1:
            total = accelerator.reduce(total, reduction="sum")
            self._add_up_gradients()
        self.norms.append(accelerator.clip_grad_norm_(list(self.trainable.values()), options.max_grad_norm))
        self.losses.append(total)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1

    def _add_up_gradients(self) -> None:
        """Over the processes. Each asks for the same sums in the same order, also where its own batches did not use a parameter."""
        learning = [parameter for parameter in self.trainable.values() if parameter.requires_grad]
        used = torch.tensor([parameter.grad is not None for parameter in learning], dtype=torch.float32, device=self.accelerator.device)
        for parameter, users in zip(learning, self.accelerator.reduce(used, reduction="sum").tolist(), strict=True):
            if users:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self.accelerator.reduce(own.detach(), reduction="sum")

    def start_from(self, score: float) -> None:
        """Let the state before the first step stand for the outcome until a later one has a better score."""
        self.history.append({"step": 0, "loss": math.nan, "gradient_norm": math.nan, "learning_rate": math.nan, "score": score})
        self.best = self.state()

    def close_row(self, validate: Callable[[int], float | None] | None) -> dict:
        """Read the losses since the last row, refuse them if they are no numbers, and score the state where it is time to."""
        losses, norms = torch.stack([*self.losses, *self.norms]).double().cpu().chunk(2)
        finite = losses.isfinite()
        if not self.accelerator.scaler:         # a scaler meets infinite gradients now and then, and skips those steps itself
            finite &= norms.isfinite()
        if not finite.all():
            first = int((~finite).nonzero()[0])
            self._diverged(self.done - len(losses) + first + 1, float(losses[first]), float(norms[first]))
        row = {"step": self.done, "loss": float(losses.mean()), "gradient_norm": float(norms[norms.isfinite()].mean()),
               "learning_rate": self.optimizer.param_groups[0]["lr"], "score": math.nan if validate is None else self._score(validate)}
        self.losses, self.norms = [], []
        self.history.append(row)
        if self.best_step(scored=True) == self.done:
            self.best = self.state()
        return row

    def _score(self, validate: Callable[[int], float | None]) -> float:
        score = [validate(self.done)] if self.accelerator.is_main_process else [None]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(score)
        return math.nan if score[0] is None else float(score[0])

    def best_step(self, *, scored: bool = False) -> int:
        """Of the lowest score; where there is none the last step, or 0 if only `scored` ones count."""
        rows = [row for row in self.history if not math.isnan(row["score"])]
        return min(rows, key=lambda row: row["score"])["step"] if rows else 0 if scored else self.done

    def validations_since_best(self) -> int:
        best = self.best_step(scored=True)
        return sum(row["step"] > best for row in self.history if not math.isnan(row["score"]))

    # ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────

    def state(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().cpu().clone() for name, parameter in self.trainable.items()}

    def save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        state = {"trainable": self.state(), "optimizer": self.optimizer.state_dict(), "scaler": scaler.state_dict() if scaler else None,
                 "best": self.best, "history": self.history}
        with told_when_full(self.section, self.done, self.folder, self.saved):
            save_checkpoint(self.folder, self.done, state, fingerprint=self.fingerprint)
        self.saved = self.done

    def resume(self) -> None:
        checkpoint = load_checkpoint(self.folder, fingerprint=self.fingerprint, say=self.say)
        self.accelerator.wait_for_everyone()
        if checkpoint is None:
            return
        state, self.done, self.saved = checkpoint.state, checkpoint.step, checkpoint.step
        with torch.no_grad():
            for name, parameter in self.trainable.items():
                parameter.copy_(state["trainable"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.best, self.history = state["best"], state["history"]

    def _diverged(self, step: int, loss: float, norm: float) -> None:
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
        mixed = self.accelerator.mixed_precision
        advice = "" if mixed == "no" else f", or set compute.precision: no (now {mixed})"
        raise TrainingDivergedError(f"{self.section}: {what} in step {step}; lower {self.section}.learning_rate "
                                    f"(now {self.options.learning_rate:g}){advice}. {what_stays(self.folder, self.saved)}")
