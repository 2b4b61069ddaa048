"""The training loop of one cell: epochs, validation, early stopping, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch.nn import functional

from lib.classify.augment import augment
from lib.classify.grid import Cell
from lib.classify.images import Pixels, predict_logits, read_batch, softmax
from lib.classify.models import build_model
from lib.classify.sampling import Plan, label_indices
from lib.classify.saved import SavedCell
from lib.metrics.auroc import auroc
from lib.metrics.macro_f1 import macro_f1
from lib.study import Classifier
from lib.training.checkpoints import load_checkpoint, save_checkpoint
from lib.training.errors import TrainingDivergedError
from lib.training.schedules import cosine_with_warmup
from lib.training.seeds import seeded, torch_generator

WARMUP_SHARE = 0.05      # of all steps; then half a cosine, down to zero at the end of the budget

Progress = Callable[[int, int, dict | None], None]      # steps done, steps of the full budget, at an epoch's end its row of the history


class Run:
    """One training run: what stays the same from step to step. `fit` does the work."""

    def __init__(
        self,
        cell:        Cell,
        pixels:      Pixels,            # uint8 [N, S, S, 3]
        samples:     pd.DataFrame,      # rows in the order of `pixels`
        classes:     Sequence[str],
        options:     Classifier,
        plan:        Plan,
        accelerator: Accelerator,
    ):
        self.cell, self.pixels, self.classes = cell, pixels, list(classes)
        self.options, self.plan, self.accelerator = options, plan, accelerator
        self.validation = np.flatnonzero((samples["split"] == "validation").to_numpy())
        if not len(self.validation):
            raise ValueError("samples hold no validation rows; early stopping needs some (split.validation)")
        if min(plan.batch_sizes) < 2 * accelerator.num_processes:
            raise ValueError(f"the smallest batch has {min(plan.batch_sizes)} images, too few for {accelerator.num_processes} processes; "
                             "raise classifier.batch_size or use fewer GPUs")
        self.y_validation = label_indices(samples.iloc[self.validation], classes)
        self.steps = options.epochs * plan.steps_per_epoch
        with seeded(cell.seed, "weights", cell.architecture):
            model = build_model(cell.architecture, len(classes), pretrained=options.pretrained)
        # validation is judged on a twin without autocast or multi-GPU wrapper: exactly the network that will make the predictions
        self.twin = build_model(cell.architecture, len(classes)).to(accelerator.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.class_weights = torch.tensor(plan.class_weights, dtype=torch.float32, device=accelerator.device)

    def fit(self, folder: Path, fingerprint: str, progress: Progress | None, say: Callable[[str], None]) -> SavedCell:
        """Epochs until the budget or the patience ends, from the last checkpoint in `folder` on."""
        history, best = self._resume(folder, fingerprint, say)
        while len(history) < self.options.epochs and len(history) - best_epoch(history) < self.options.patience:
            epoch = len(history)
            train_loss = self._train(epoch, progress)
            history.append(self._validate(epoch, train_loss))
            if best_epoch(history) == len(history):
                best = {name: value.detach().clone() for name, value in self._weights().items()}
            if len(history) % self.options.checkpoint_every == 0 and self.accelerator.is_main_process:
                save_checkpoint(folder, len(history), self._state(history, best), fingerprint=fingerprint)
            if progress:
                progress(len(history) * self.plan.steps_per_epoch, self.steps, history[-1])
        weights = dict(zip(self.classes, self.plan.class_weights.tolist(), strict=True))
        return SavedCell(best, history, best_epoch(history), weights)

    # ── one epoch ────────────────────────────────────────────────────────────────────────────────────────────────

    def _train(self, epoch: int, progress: Progress | None) -> float:
        """All steps of one epoch; the mean weighted cross-entropy over them."""
        self.model.train()
        total, first = torch.zeros((), device=self.accelerator.device), epoch * self.plan.steps_per_epoch
        for step, chosen in enumerate(self.plan.batches(self.cell.seed, "order", epoch), start=first):
            total += self._step(step, chosen)
            if progress:
                progress(step + 1, self.steps, None)
        mean = float(self.accelerator.reduce(total, reduction="mean")) / self.plan.steps_per_epoch
        return self._finite(mean, "training loss", epoch)

    def _step(self, step: int, chosen: np.ndarray) -> torch.Tensor:
        """One optimiser step on the training rows `chosen` (positions in the plan); the loss, detached."""
        options, accelerator = self.options, self.accelerator
        peak_share = cosine_with_warmup(step, steps=self.steps, warmup=math.ceil(WARMUP_SHARE * self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = options.learning_rate * peak_share
        mine = chosen[accelerator.process_index::accelerator.num_processes]
        images = read_batch(self.pixels, self.plan.rows[mine], accelerator.device)
        changed = np.flatnonzero(self.plan.augmented[mine])
        if len(changed):
            generator = torch_generator(self.cell.seed, "augment", step, accelerator.process_index)
            images[changed] = augment(images[changed], options.augmentation, generator)
        with seeded(self.cell.seed, "dropout", step, accelerator.process_index), accelerator.autocast():
            logits = self.model(images)
        labels = torch.from_numpy(self.plan.labels[mine]).to(accelerator.device)
        # divided by the weight of the whole batch, not of this process's share, so several GPUs give what one gives
        whole = float(self.plan.class_weights[self.plan.labels[chosen]].sum())
        loss = functional.cross_entropy(logits.float(), labels, weight=self.class_weights, reduction="sum")
        loss = loss * (accelerator.num_processes / whole)
        self.optimizer.zero_grad()
        accelerator.backward(loss)
        self.optimizer.step()
        return loss.detach()

    def _validate(self, epoch: int, train_loss: float) -> dict:
        """The epoch's row of the history; worked out by the main process and told to the others, so all stop together."""
        row = [None]
        if self.accelerator.is_main_process:
            self.twin.load_state_dict(self._weights())
            logits = predict_logits(self.twin, self.pixels, self.validation)
            if not np.isfinite(logits).all():
                self._finite(math.nan, "validation loss", epoch)
            probabilities, weight = softmax(logits), self.plan.class_weights[self.y_validation]
            chance = probabilities[np.arange(len(logits)), self.y_validation]
            losses = -np.log(np.maximum(chance, np.finfo(float).tiny))
            row[0] = {
                "epoch":           epoch + 1,
                "learning_rate":   self.optimizer.param_groups[0]["lr"],
                "train_loss":      train_loss,
                "validation_loss": float((losses * weight).sum() / max(weight.sum(), np.finfo(float).tiny)),
                "macro_f1":        float(macro_f1(self.y_validation, probabilities)),
                "auroc":           float(auroc(self.y_validation, probabilities)),
            }
        if self.accelerator.num_processes > 1:
            broadcast_object_list(row)
        return row[0]

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
        return self.accelerator.unwrap_model(self.model).state_dict()

    def _state(self, history: list[dict], best: dict[str, torch.Tensor]) -> dict:
        scaler = self.accelerator.scaler
        return {"model": dict(self._weights()), "optimizer": self.optimizer.state_dict(), "scaler": scaler.state_dict() if scaler else None,
                "best": best, "history": history}

    def _resume(self, folder: Path, fingerprint: str, say: Callable[[str], None]) -> tuple[list[dict], dict[str, torch.Tensor]]:
        checkpoint = load_checkpoint(folder, fingerprint=fingerprint, say=say)
        self.accelerator.wait_for_everyone()
        if checkpoint is None:
            return [], {}
        state = checkpoint.state
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return state["history"], state["best"]


def best_epoch(history: list[dict]) -> int:
    """The epoch of the highest validation macro-F1, the first of equals, counted from 1; 0 before the first epoch."""
    return max(range(1, len(history) + 1), key=lambda epoch: history[epoch - 1]["macro_f1"], default=0)
