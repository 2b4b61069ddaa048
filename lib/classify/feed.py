"""From the rows that a plan draws to the tensors of one optimiser step: reading, augmenting, blending, and what the losses need to know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator

from lib.classify.arms import Arm
from lib.classify.augment import augment
from lib.classify.images import read_batch
from lib.classify.mixing import overlap_weights
from lib.classify.pool import Pool
from lib.classify.sampling import Plan
from lib.study import Classifier
from lib.training.seeds import torch_generator


@dataclass(frozen=True)
class Batch:
    """One process's part of one step; b images."""

    images:        torch.Tensor      # [b, 3, S, S] in 0–1
    labels:        torch.Tensor      # [b] int64
    class_weights: torch.Tensor      # [K]
    whole:         float             # what the whole batch weighs, so that several GPUs give what one gives
    added:         torch.Tensor      # [b] share of each image that the arm added: 1, 0, or between where two are blended
    overlap:       torch.Tensor      # [b] weights for the head that tells added images from real ones


class Feed:
    """The batches of one epoch."""

    def __init__(self, plan: Plan, pool: Pool, arm: Arm, options: Classifier, seed: int, accelerator: Accelerator):
        self.plan, self.pixels, self.options, self.seed, self.accelerator = plan, pool.pixels, options, seed, accelerator
        self.class_weights = torch.tensor(plan.class_weights, dtype=torch.float32, device=accelerator.device)
        self.added = pool.added.astype(np.float32)
        told = arm.has("adversarial") and plan.mix is not None
        self.overlap = overlap_weights(pool.table, pool.added, plan.frequency()) if told else np.zeros(len(pool.added))

    def batch(
        self,
        step:   int,                # of the whole run; decides, with the seed, what is drawn at random
        chosen: np.ndarray,         # positions in the plan, of all processes
    ) -> Batch:
        """This process's part of the batch on its device."""
        plan, device = self.plan, self.accelerator.device
        mine = np.arange(len(chosen))[self.accelerator.process_index::self.accelerator.num_processes]
        rows, added = chosen[mine], self.added[chosen]
        images = read_batch(self.pixels, plan.rows[rows], device)
        changed = np.flatnonzero(plan.augmented[rows])
        if len(changed):
            generator = torch_generator(self.seed, "augment", step, self.accelerator.process_index)
            images[changed] = augment(images[changed], self.options.augmentation, generator)
        if plan.mix is not None and plan.mix.blend is not None:
            places, partners, weights = plan.mix.partners(chosen, step, self.seed)
            added[places] *= 1 - weights
            here = np.isin(places, mine)
            if here.any():
                inside = np.searchsorted(mine, places[here])
                real = torch.from_numpy(weights[here]).to(images).view(-1, 1, 1, 1)
                images[inside] = torch.lerp(images[inside], read_batch(self.pixels, plan.rows[partners[here]], device), real)
        return Batch(
            images        = images,
            labels        = torch.from_numpy(plan.labels[rows]).to(device),
            class_weights = self.class_weights,
            whole         = float(plan.class_weights[plan.labels[chosen]].sum()),
            added         = torch.from_numpy(added[mine]).to(device),
            overlap       = torch.from_numpy(self.overlap[rows]).to(device=device, dtype=torch.float32),
        )
