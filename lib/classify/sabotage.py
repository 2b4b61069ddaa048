"""A small world of phantoms and three generators for it whose worth is known: an honest one, one that mixes up its labels, one that copies.

With them the whole way to a verdict is tried where the truth is known (notebook 13). Worlds are drawn after a study's own phantom sources.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from lib.classify.pool import Block, Pool, real_pool
from lib.data.split import assign_splits
from lib.phantom.render import draw
from lib.phantom.world import sample_world
from lib.study import Data, Groups, Labels, NullTruth, PhantomOptions, Split
from lib.training.seeds import numpy_generator

TURNS = 20         # how often `copies` holds each image of the largest label × group


@dataclass(frozen=True)
class World:
    """What one repeat is made of."""

    samples:  pd.DataFrame      # rows of the samples table that a classifier needs: those of the clinic, then those of the survey
    pixels:   np.ndarray        # uint8 [N, S, S, 3], in their order
    drawn:    pd.DataFrame      # label, group, tone of the generated images
    pictures: np.ndarray        # uint8 [M, S, S, 3], in their order
    repeat:   int


class Plan(Protocol):
    """What a world is drawn after: a study, or these sections of one."""

    null_truth: NullTruth
    data:       Data
    labels:     Labels
    groups:     Groups
    split:      Split


def draw_world(
    study:  Plan,
    repeat: int,                # from 0
) -> World:
    """Clinic (train, validation), survey (test) and generated images, each from seeds that no other repeat has."""
    size, first = study.data.image_size, study.null_truth.first_seed + 10 * repeat
    roles = {source.role: source for source in study.data.sources if source.phantom}
    tables, pixels = [], []
    for number, role in enumerate(("development", "test_only")):
        options = roles[role].phantom.model_copy(update={"seed": first + number})
        table, pictures = _draw(study, options, roles[role].title, size)
        tables.append(table)
        pixels.append(pictures)
    samples = pd.concat(tables, ignore_index=True)
    samples["sha256"] = [hashlib.sha256(picture.tobytes()).hexdigest() for part in pixels for picture in part]
    shares = {"train": study.split.train, "validation": study.split.validation, "test": study.split.test}
    samples["split"] = assign_splits(samples, shares, study.split.seed + repeat, test_only=[roles["test_only"].title])
    wanted = {int(tone): 1.0 for tone in study.groups.values[study.null_truth.group]}
    more = roles["development"].phantom.model_copy(update={
        "seed": first + 2, "patients": study.null_truth.images, "lesions_per_patient": (1, 1), "images_per_lesion": (1, 1),
        "tone_shares": wanted})
    drawn, pictures = _draw(study, more, "generated", size)
    return World(samples, np.concatenate(pixels), drawn[["label", "group", "tone"]], pictures, repeat)


# ── generators: a world → what its images say they show, and the images ──────────────────────────────────────────────

def honest(world: World) -> tuple[pd.DataFrame, np.ndarray]:
    """More phantoms of the scarce group, each with its own label."""
    return world.drawn, world.pictures


def shuffled(world: World) -> tuple[pd.DataFrame, np.ndarray]:
    """The honest generator's images under each other's labels."""
    order = numpy_generator(world.repeat, "shuffled labels").permutation(len(world.drawn))
    return world.drawn.assign(label=world.drawn["label"].to_numpy()[order]), world.pictures


def copies(world: World) -> tuple[pd.DataFrame, np.ndarray]:
    """Training images over and over, those of a label × group in turn, until every such cell is TURNS times as large as the largest was.

    So each is drawn as often as under `oversampled`, one image of a cell within 1 / TURNS of another: with few turns the images that get a
    copy more than their neighbours would weigh up to twice as much, and that is a difference which a study could rightly find.
    """
    rows = np.flatnonzero(world.samples["split"] == "train")
    cells = world.samples.iloc[rows].groupby(["label", "group"], sort=True).indices
    most = TURNS * max(map(len, cells.values()))
    again = np.concatenate([np.resize(rows[members], most - len(members)) for members in cells.values()])
    return world.samples.iloc[again][["label", "group", "tone"]].reset_index(drop=True), world.pixels[again]


GENERATORS: dict[str, Callable[[World], tuple[pd.DataFrame, np.ndarray]]] = {"honest": honest, "shuffled": shuffled, "copies": copies}


def pool_of(world: World, generator: str | None) -> Pool:
    """What a classifier is trained on: the world's training images, with a generator's behind them (a key of GENERATORS) or without."""
    pool = real_pool(world.samples, world.pixels)
    if generator is None:
        return pool
    table, pictures = GENERATORS[generator](world)
    keys = [str(int(tone)) for tone in table["tone"]]
    block = Block(np.ascontiguousarray(pictures), table["label"].tolist(), keys, table["group"].tolist(), generator="diffusion")
    return pool.with_block(block)


def _draw(study: Plan, options: PhantomOptions, name: str, size: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows as the samples table has them, and pictures; a diagnosis that no class names is left out."""
    scenes = sample_world(options, name)
    label_of = {value: label for label, values in study.labels.classes.items() for value in values}
    group_of = {int(tone): group for group, tones in study.groups.values.items() for tone in tones}
    scenes = scenes[scenes["diagnosis"].isin(list(label_of))].reset_index(drop=True)
    pictures = np.stack([draw(scene._asdict(), size)[0] for scene in scenes.itertuples(index=False)])
    return pd.DataFrame({
        "image_id": scenes["image_id"], "dataset": name, "label": scenes["diagnosis"].map(label_of), "group": scenes["tone"].map(group_of),
        "diagnosis": scenes["diagnosis"], "tone": scenes["tone"].astype("Int8"), "patient_id": scenes["patient_id"],
        "lesion_id": scenes["lesion_id"], "cluster_id": scenes["patient_id"],
    }), pictures
