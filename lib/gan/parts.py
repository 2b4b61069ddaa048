"""The trainings that a study asks for, one per class or one conditional model of all, each from its images to what can be said of it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lib.diffusion.words import Cell
from lib.encoders.encoder import Encoder
from lib.gan.board import tensorboard
from lib.gan.crops import Crops
from lib.gan.findings import Finding, find
from lib.gan.model import CARD, WEIGHTS, GanModel
from lib.gan.quality import Quality, compare, judges, nearest
from lib.gan.train import TrainedGan, train_gan
from lib.gan.watch import diversity
from lib.study import Compute, Gan
from lib.study import fingerprint as digest
from lib.training.seeds import torch_generator

ALL = "all classes"
_SPREAD = 32                        # images of a class that say how far they lie apart


@dataclass(frozen=True)
class Part:
    """One training: what it learns from, and what it is held against."""

    name:            str            # the label, or ALL for a conditional model
    slug:            str            # of its folder
    pixels:          np.ndarray     # uint8 [N, S, S, 3]
    labels:          list[str]      # [N]
    held_out:        np.ndarray     # uint8 [M, S, S, 3]
    held_out_labels: list[str]      # [M]


@dataclass(frozen=True)
class Learnt:
    """What came of a part."""

    trained:    TrainedGan
    generated:  np.ndarray          # uint8 [quality_images, S, S, 3], drawn at fixed noise
    labels:     list[str]           # [quality_images] what each was asked to show
    comparison: pd.DataFrame        # of lib.gan.quality.compare, the study's encoder first
    distances:  np.ndarray          # [quality_images] to the nearest training image
    places:     np.ndarray          # [quality_images] which one it is
    findings:   list[Finding]

    @property
    def floor(self) -> float:
        """Distance of real training images from the held-out ones by the study's encoder; NaN where there are too few."""
        found = self.comparison.loc[self.comparison["kind"] == "real", "distance"]
        return float(found.iloc[0]) if len(found) else float("nan")


def parts_of(train: Crops, held_out: Crops, options: Gan, names: Sequence[str]) -> list[Part]:
    """A part per class that gets a generator, in the study's order; one of them all where `gan.conditional`."""
    labels = options.labels(list(names))
    if options.conditional:
        return [Part(ALL, "all", train.pixels, train.rows["label"].tolist(), held_out.pixels, held_out.rows["label"].tolist())]
    return [Part(label, Cell(label).slug, train.of(label), [label] * len(train.of(label)), held_out.of(label),
                 [label] * len(held_out.of(label))) for label in labels]


def count_parts(parts: Sequence[Part]) -> pd.DataFrame:
    """A row per training: what it draws, and its images."""
    return pd.DataFrame([{"generator": part.name, "training images": len(part.pixels), "held out": len(part.held_out)} for part in parts])


def learn(
    part:    Part,
    options: Gan,
    encoder: Encoder,
    *,
    folder:      Path,                                      # of the unfinished work of all parts
    board:       Path,                                      # of TensorBoard's event files
    fingerprint: str,                                       # of the code and the encoder
    compute:     Compute,
    progress:    Callable[..., None] | None        = None,
    say:         Callable[[str], None] | None      = None,
) -> Learnt:
    """Train a part (or go on, or load what is finished) and judge it. Errors as of `train_gan`."""
    quality = Quality(encoder, part.held_out, part.held_out_labels, images=options.quality_images, seed=options.seed)
    with tensorboard(board / part.slug) as log:
        trained = train_gan(part.pixels, part.labels, options, folder=folder / part.slug, fingerprint=_mark(fingerprint, part),
                            compute=compute, quality=quality, log=log, progress=progress, say=say)
    generated = quality.draw(trained.model)
    distances, places = nearest(encoder, generated, part.pixels)
    usual = nearest(encoder, part.held_out, part.pixels)[0] if len(part.held_out) else np.empty(0)
    findings = find(trained.history, spreads=spreads(trained.model, part, options.seed), drawn=distances, held_out=usual)
    comparison = compare(judges(encoder), generated, part.pixels, part.held_out, seed=options.seed)
    return Learnt(trained, generated, quality.labels(trained.model), comparison, distances, places, findings)


def spreads(model: GanModel, part: Part, seed: int) -> dict[str, tuple[float, float]]:
    """Label → `diversity` of images drawn at fixed noise, of as many real ones (32, or as many as there are)."""
    found, labels = {}, np.array(part.labels)
    for label in dict.fromkeys(part.labels):
        places = np.flatnonzero(labels == label)
        places = places[np.linspace(0, len(places) - 1, min(len(places), _SPREAD)).astype(int)]
        noise = torch.randn(len(places), model.latent, generator=torch_generator(seed, "spread", label))
        found[label] = diversity(model.draw(noise, [label] * len(places))), diversity(part.pixels[places])
    return found


def by_label(parts: Sequence[Part], learnt: Mapping[str, Learnt]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label → its real training images and its drawn ones, both uint8 [n, S, S, 3]."""
    found = {}
    for part in parts:
        drawn = learnt[part.name]
        for label in dict.fromkeys(part.labels):
            found[label] = tuple(pixels[np.array(labels) == label] for pixels, labels in (
                (part.pixels, part.labels), (drawn.generated, drawn.labels)))
    return found


def facts(part: Part, learnt: Learnt) -> dict[str, Any]:
    """Plain values for metrics.json: what it learnt from, the weights, the judgement and the findings."""
    comparison = learnt.comparison.astype(object).where(learnt.comparison.notna(), None)
    scored = learnt.trained.history.dropna(subset="quality")
    return {
        "images":     len(part.pixels),
        "held_out":   len(part.held_out),
        "iterations": int(learnt.trained.history["iteration"].max()),
        "sha256":     learnt.trained.model.sha256,
        "scores":     {str(row.iteration): row.quality for row in scored.itertuples()},
        "comparison": comparison.to_dict("records"),
        "findings":   [{**vars(finding), "figure": finding.figure if np.isfinite(finding.figure) else None} for finding in learnt.findings],
    }


def keep_generators(
    parts:  Sequence[Part],
    source: Path,           # the `folder` of `learn`
    folder: Path,           # of the stage's outputs
) -> None:
    """Copy the files of every generator to where later stages look for them, and leave nothing of an earlier run there."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in parts:
        (folder / part.slug).mkdir(parents=True)
        for name in (WEIGHTS, CARD):
            shutil.copy2(source / part.slug / name, folder / part.slug / name)


def _mark(given: str, part: Part) -> str:
    """With the held-out images: scores stand in the history of a run."""
    return digest([given, hashlib.sha256(np.ascontiguousarray(part.held_out)).hexdigest(), part.held_out_labels])
