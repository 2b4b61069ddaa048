"""The training loop of one cell: epochs, validation, early stopping, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch.nn import functional

from lib.classify.adversary import DomainAdversarial, domain_loss, reversal
from lib.classify.arms import find_arm
from lib.classify.feed import Batch, Feed
from lib.classify.grid import Cell
from lib.classify.images import predict_logits, softmax
from lib.classify.mixing import pretraining
from lib.classify.models import build_model, load_start
from lib.classify.pool import Block, Pool
from lib.classify.sampling import label_indices, plan_arm
from lib.classify.saved import SavedCell
from lib.metrics.auroc import auroc
from lib.metrics.macro_f1 import macro_f1
from lib.study import Classifier
from lib.training.checkpoints import load_checkpoint, save_checkpoint, told_when_full
from lib.training.errors import TrainingDivergedError
from lib.training.schedules import cosine_with_warmup
from lib.training.seeds import seeded

WARMUP_SHARE = 0.05      # of all steps; then half a cosine, down to zero at the end of the budget
FINE_TUNING  = 0.1       # of the learning rate, once a pretraining on generated images is over

Losses   = dict[tuple[str, str | None], float]
Progress = Callable[[int, int, dict | None], None]      # steps done, steps of the full budget, at an epoch's end its row of the history


class Stream(Protocol):
    """What draws images while a cell is trained: `lib.classify.stream.Stream`."""

    def block(self, epoch: int, losses: Mapping[tuple[str, str | None], float]) -> Block:
        """The images that an epoch (from 0) is trained on.

        `losses` are the mean validation losses of the epoch before by label and tone, and by label and group; None: of those with neither.
        """


class Run:
    """One training run: what stays the same from step to step. `fit` does the work."""

    def __init__(
        self,
        cell:        Cell,
        pool:        Pool,
        classes:     Sequence[str],
        options:     Classifier,
        shares:      Mapping[str, float],       # see `Mixing.shares`
        accelerator: Accelerator,
        stream:      Stream | None = None,
    ):
        self.cell, self.pool, self.classes, self.options, self.shares = cell, pool, list(classes), options, shares
        self.accelerator, self.stream, self.arm = accelerator, stream, find_arm(cell.arm)
        self.plan = plan_arm(cell.arm, pool, classes, options, shares)
        self.validation = np.flatnonzero((pool.samples["split"] == "validation").to_numpy())
        if not len(self.validation):
            raise ValueError("samples hold no validation rows; early stopping needs some (split.validation)")
        if min(self.plan.batch_sizes) < 2 * accelerator.num_processes:
            raise ValueError(f"the smallest batch has {min(self.plan.batch_sizes)} images, too few for {accelerator.num_processes} "
                             "processes; raise classifier.batch_size or use fewer GPUs")
        self.y_validation = label_indices(pool.samples.iloc[self.validation], classes)
        self.steps = options.epochs * self.plan.steps_per_epoch
        mixes = stream is not None or self.plan.mix is not None         # what a stream mixes in comes later than this plan
        self.alone = pretraining(self.arm, options.mixing, options.epochs) * self.plan.steps_per_epoch if mixes else 0
        with seeded(cell.seed, "weights", cell.architecture):
            model = build_model(cell.architecture, len(classes), pretrained=options.pretrained)
        if self.arm.start:
            load_start(model, cell.architecture, self.arm.start)
        self.adversarial = self.arm.value("adversarial", options.mixing.adversarial) if self.arm.has("adversarial") else None
        if self.adversarial is not None:
            with seeded(cell.seed, "adversary"):
                model = DomainAdversarial(model)
        # validation is judged on a twin without autocast or multi-GPU wrapper: exactly the network that will make the predictions
        self.twin = build_model(cell.architecture, len(classes)).to(accelerator.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)

    def fit(self, folder: Path, fingerprint: str, progress: Progress | None, say: Callable[[str], None]) -> SavedCell:
        """Epochs until the budget or the patience ends, from the last checkpoint in `folder` on."""
        options, every = self.options, self.options.checkpoint_every
        history, best, losses = self._resume(folder, fingerprint, say)
        while len(history) < options.epochs and len(history) - self._settled(history) < options.patience:
            epoch = len(history)
            train_loss = self._train(epoch, losses, progress)
            row, losses = self._validate(epoch, train_loss)
            history.append(row)
            if best_epoch(history) == len(history):
                best = {name: value.detach().clone() for name, value in self._weights().items()}
            if len(history) % every == 0 and self.accelerator.is_main_process:
                with told_when_full("classifier", len(history), folder, epoch // every * every or None, "epoch"):
                    save_checkpoint(folder, len(history), self._state(history, best, losses), fingerprint=fingerprint)
            if progress:
                progress(len(history) * self.plan.steps_per_epoch, self.steps, history[-1])
        weights = dict(zip(self.classes, self.plan.class_weights.tolist(), strict=True))
        return SavedCell(best, history, best_epoch(history), weights)

    def _settled(self, history: list[dict]) -> int:
        """The epoch from which patience counts: the best one, but never one before real images were shown."""
        return max(best_epoch(history), self.alone // self.plan.steps_per_epoch)

    # ── one epoch ────────────────────────────────────────────────────────────────────────────────────────────────

    def _train(self, epoch: int, losses: Losses, progress: Progress | None) -> float:
        """All steps of one epoch; the mean weighted cross-entropy over them."""
        pool, plan = self.pool, self.plan
        if self.stream is not None:
            pool = self.pool.with_block(self.stream.block(epoch, losses))
            plan = plan_arm(self.cell.arm, pool, self.classes, self.options, self.shares)
        feed = Feed(plan, pool, self.arm, self.options, self.cell.seed, self.accelerator)
        self.model.train()
        total, first = torch.zeros((), device=self.accelerator.device), epoch * plan.steps_per_epoch
        for step, chosen in enumerate(plan.batches(self.cell.seed, epoch), start=first):
            total += self._step(step, feed.batch(step, chosen))
            if progress:
                progress(step + 1, self.steps, None)
        mean = float(self.accelerator.reduce(total, reduction="mean")) / plan.steps_per_epoch
        return self._finite(mean, "training loss", epoch)

    def _step(self, step: int, batch: Batch) -> torch.Tensor:
        """One optimiser step; the cross-entropy, detached."""
        accelerator = self.accelerator
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * learning_rate_share(step, steps=self.steps, alone=self.alone)
        with seeded(self.cell.seed, "dropout", step, accelerator.process_index), accelerator.autocast():
            if self.adversarial is None:
                logits = self.model(batch.images)
            else:
                logits, domain = self.model(batch.images, reversal(step, steps=self.steps, weight=self.adversarial))
        loss = functional.cross_entropy(logits.float(), batch.labels, weight=batch.class_weights, reduction="sum")
        loss = loss * (accelerator.num_processes / batch.whole)
        told = loss.detach()
        if self.adversarial is not None:
            loss = loss + domain_loss(domain, batch.added, batch.overlap)
        self.optimizer.zero_grad()
        accelerator.backward(loss)
        self.optimizer.step()
        return told

    def _validate(self, epoch: int, train_loss: float) -> tuple[dict, Losses]:
        """The epoch's row of the history, and for a stream the losses by cell.

        Worked out by the main process and told to the others, so all stop together.
        """
        told = [None, {}]
        if self.accelerator.is_main_process:
            self.twin.load_state_dict(self._weights())
            logits = predict_logits(self.twin, self.pool.real, self.validation)
            if not np.isfinite(logits).all():
                self._finite(math.nan, "validation loss", epoch)
            probabilities, weight = softmax(logits), self.plan.class_weights[self.y_validation]
            chance = probabilities[np.arange(len(logits)), self.y_validation]
            losses = -np.log(np.maximum(chance, np.finfo(float).tiny))
            told[0] = {
                "epoch":           epoch + 1,
                "learning_rate":   self.optimizer.param_groups[0]["lr"],
                "train_loss":      train_loss,
                "validation_loss": float((losses * weight).sum() / max(weight.sum(), np.finfo(float).tiny)),
                "macro_f1":        float(macro_f1(self.y_validation, probabilities)),
                "auroc":           float(auroc(self.y_validation, probabilities)),
            }
            if self.stream is not None:
                told[1] = losses_by_cell(self.pool.samples.iloc[self.validation], losses)
        if self.accelerator.num_processes > 1:
            broadcast_object_list(told)
        return told[0], told[1]

    def _finite(self, value: float, what: str, epoch: int) -> float:
        if math.isfinite(value):
            return value
        mixed = self.accelerator.mixed_precision
        advice = "" if mixed == "no" else f", or set compute.precision: no (now {mixed})"
        raise TrainingDivergedError(
            f"{self.cell.name}: the {what} is {value} in epoch {epoch + 1}; "
            f"lower classifier.learning_rate (now {self.options.learning_rate:g}){advice}"
        )

    # ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────

    def _weights(self) -> dict[str, torch.Tensor]:
        """Of the classifier alone."""
        model = self.accelerator.unwrap_model(self.model)
        return getattr(model, "classifier", model).state_dict()

    def _state(self, history: list[dict], best: dict[str, torch.Tensor], losses: Losses) -> dict:
        scaler, model = self.accelerator.scaler, self.accelerator.unwrap_model(self.model)
        return {"model": dict(model.state_dict()), "optimizer": self.optimizer.state_dict(), "best": best, "history": history,
                "scaler": scaler.state_dict() if scaler else None, "losses": [[*cell, loss] for cell, loss in losses.items()]}

    def _resume(self, folder: Path, fingerprint: str, say: Callable[[str], None]) -> tuple[list[dict], dict[str, torch.Tensor], Losses]:
        checkpoint = load_checkpoint(folder, fingerprint=fingerprint, say=say)
        self.accelerator.wait_for_everyone()
        if checkpoint is None:
            return [], {}, {}
        state = checkpoint.state
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return state["history"], state["best"], {(label, key): loss for label, key, loss in state["losses"]}


def learning_rate_share(
    step:  int,        # 0 … steps − 1
    *,
    steps: int,        # of the whole budget
    alone: int = 0,    # first steps on generated images alone
) -> float:
    """Share of the learning rate: a linear rise, then half a cosine; after a pretraining the same once more at a tenth."""
    start, length, peak = (0, alone or steps, 1.0) if step < (alone or steps) else (alone, steps - alone, FINE_TUNING)
    return peak * cosine_with_warmup(step - start, steps=length, warmup=math.ceil(WARMUP_SHARE * length))


def losses_by_cell(
    rows:   pd.DataFrame,       # of the samples table
    losses: np.ndarray,         # [N]
) -> Losses:
    """Mean loss by (label, tone), by (label, group) and, for images with neither, by (label, None)."""
    types = [None if pd.isna(tone) else str(int(tone)) for tone in rows["tone"]]
    groups = [None if pd.isna(group) else group for group in rows["group"]]
    sums: dict[tuple[str, str | None], list[float]] = {}
    for label, tone, group, loss in zip(rows["label"], types, groups, losses, strict=True):
        for key in {tone, group} - {None} or {None}:
            sums.setdefault((label, key), []).append(float(loss))
    return {cell: float(np.mean(found)) for cell, found in sorted(sums.items(), key=str)}


def best_epoch(history: list[dict]) -> int:
    """The epoch of the highest validation macro-F1, the first of equals, counted from 1; 0 before the first epoch."""
    return max(range(1, len(history) + 1), key=lambda epoch: history[epoch - 1]["macro_f1"], default=0)
