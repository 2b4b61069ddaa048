"""Which images an arm draws, and what was drawn while it trained (notebook 07)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.classify.pool import Pool
from lib.classify.sampling import Plan
from lib.report.words import count, join, number, percent

UNKNOWN = "unknown"         # group of images whose group is null


def composition(
    pool: Pool,
    plan: Plan,
) -> pd.DataFrame:
    """label, group, real, added (images), drawn (images of an epoch, on average), of_added (share of these that the arm added).

    `drawn` is what the plan expects over the whole budget, so a ramp or a pretraining is in it. A row per label × group, in that order.
    """
    often = plan.frequency()
    rows = pd.DataFrame({
        "label": pool.table["label"], "group": pool.table["group"].fillna(UNKNOWN), "real": ~pool.added, "added": pool.added,
        "drawn": often * sum(plan.batch_sizes), "of_added": np.where(pool.added, often * sum(plan.batch_sizes), 0.0),
    })
    cells = rows.groupby(["label", "group"], sort=True)[["real", "added", "drawn", "of_added"]].sum().reset_index()
    return cells.assign(of_added=(cells["of_added"] / cells["drawn"]).where(cells["drawn"] > 0))


def describe_composition(
    cells: pd.DataFrame,        # of `composition`
    pool:  Pool,
) -> list[str]:
    """How many images of which kind, how much of what is drawn was added and where most, and the notes of the pool."""
    real, added = int(cells["real"].sum()), int(cells["added"].sum())
    if not added:
        return [*pool.notes, f"{count(real, 'real image')}, and nothing is added to them before training."]
    kind = "generated" if pool.table.loc[pool.added, "synthetic"].all() else "collected"
    share = (cells["of_added"].fillna(0) * cells["drawn"]).sum() / cells["drawn"].sum()
    sentences = [*pool.notes, f"{count(real, 'real image')} and {count(added, f'{kind} one')}; of all draws {percent(share)} are {kind} "
                              "images."]
    groups = cells.assign(theirs=cells["of_added"].fillna(0) * cells["drawn"]).groupby("group")[["theirs", "drawn"]].sum()
    shares = (groups["theirs"] / groups["drawn"]).sort_values(ascending=False, kind="stable")
    if pool.table.loc[pool.added, "group"].isna().all():
        sentences.append("They belong to no group: they were asked for by class alone.")
    elif len(shares) > 1:
        sentences.append(f"By group: {join(f'{name} {percent(value)}' for name, value in shares.items())}.")
    if lone := [f"{row.label} × {row.group}" for row in cells.itertuples()
                if row.added and not row.real and row.group != UNKNOWN]:
        sentences.append(f"No real training image stands beside those of {join(lone, 4)}.")
    return sentences


def describe_stream(
    blocks: pd.DataFrame,       # seed, block, label, tone, asked, images, attempts; of lib.classify.stream_chunk.Streams
    waits:  pd.DataFrame,       # seed, epoch, seconds
) -> list[str]:
    """What was drawn while the cells were trained, which cells were asked for most, and how long training stood still for it."""
    if blocks.empty:
        return ["Nothing was drawn while this arm was trained."]
    asked, kept, tries = (int(blocks[column].sum()) for column in ("asked", "images", "attempts"))
    several = count(len(blocks[["seed", "block"]].drop_duplicates()), "block")
    sentences = [f"{several} with {count(asked, 'image')} were drawn while training went on, in {count(tries, 'attempt')}; the checks let "
                 f"{percent(kept / asked)} of the images through."]
    cells = blocks.groupby(["label", blocks["tone"].fillna(UNKNOWN)])["asked"].sum().sort_values(ascending=False, kind="stable")
    sentences.append(f"Asked for most: {join((f'{label} × {tone} ({number(int(n))})' for (label, tone), n in cells.head(3).items()))}.")
    if len(waits):
        sentences.append(f"Training stood still for {number(float(waits['seconds'].sum()), 0)} seconds in all, "
                         f"{number(float(waits['seconds'].median()), 1)} in the median epoch.")
    return sentences


def beside(
    pool:   Pool,
    labels: list[str],
    most:   int = 25,           # pictures of each kind
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """label → pixels of some of its real and of its added images, for `lib.report.gan.plot_beside`."""
    own = pool.table["label"].to_numpy()
    places = {(label, kind): pool.rows[(own == label) & (pool.added == kind)] for label in labels for kind in (False, True)}
    some = {cell: rows[::-(-len(rows) // most) or 1] for cell, rows in places.items()}
    return {label: tuple(np.asarray(pool.pixels[some[label, kind]]) for kind in (False, True)) for label in labels}
