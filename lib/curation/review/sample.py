"""Which images raters see: generated ones by stratum, and real held-out ones that neither subject nor size gives away."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.curation.review.errors import ReviewError
from lib.data.errors import counted
from lib.diffusion.quota import largest_remainder
from lib.study.review import Review

COLUMNS = ["item", "kind", "image_id", "sha256", "label", "group", "generator", "cluster_id"]
NO_GROUP = ""                                       # in strata, where a missing group must equal another missing one


def draw_sample(
    curated:  pd.DataFrame,     # the `curated` table: image_id, sha256, generator, label, group, verdict, selected
    held_out: pd.DataFrame,     # rows of `samples` that no generator learnt from: image_id, sha256, label, group, cluster_id
    review:   Review,
) -> tuple[pd.DataFrame, list[str]]:
    """Items in one random order, and notices in words; the same seed and tables give the same items.

    Columns COLUMNS: item (a random name, all that the page shows), kind (generated or real), and for a real image in `generator` the
    one whose size and crop it is shown in. Generated images are dealt over label × group by largest remainder. Real ones follow the
    same strata; where a stratum has too few, the next come from the same label, then the same group, then any, and that is counted.
    Raises ReviewError when there is nothing to show.
    """
    from lib.training.seeds import derive_seed, numpy_generator  # loads torch, which reading ratings does not need

    pool = _pool(curated, review)
    if pool.empty:
        raise ReviewError(f"no generated image is {review.which} in 06_curation, so there is nothing to review; see its funnel, or set "
                          "curation.review.which to passed or all")
    if "test" in set(held_out.get("split", ())):
        raise ReviewError("test images were given as held-out ones; raters see train or validation images only")
    rng = numpy_generator(review.seed, "review", "sample")
    wanted = len(pool) if review.images is None else max(1, round(review.images * (1 - review.real)))
    generated = _by_stratum(pool, min(wanted, len(pool)), rng)
    notices = [f"{counted(wanted, 'generated image')} wanted, {len(generated):,} there"] if len(generated) < wanted else []
    asked = round(len(generated) * review.real / (1 - review.real))
    real, more = _partners(generated, held_out, asked, rng)
    items = pd.concat([generated.assign(kind="generated", cluster_id=generated["image_id"]), real.assign(kind="real")], ignore_index=True)
    items["item"] = [f"{derive_seed(review.seed, 'review', 'item', kind, name):016x}"[-12:]
                     for kind, name in zip(items["kind"], items["image_id"], strict=True)]
    return items.iloc[rng.permutation(len(items))][COLUMNS].reset_index(drop=True), notices + more


def _pool(curated: pd.DataFrame, review: Review) -> pd.DataFrame:
    """In the order of their names, so that the order of the table changes nothing."""
    kept = {"selected": curated["selected"].astype(bool), "passed": curated["verdict"].eq("passed"),
            "all": pd.Series(True, index=curated.index)}[review.which]
    return curated[kept].sort_values("image_id", ignore_index=True)


def _by_stratum(pool: pd.DataFrame, wanted: int, rng: np.random.Generator) -> pd.DataFrame:
    strata = [places for _, places in sorted(pool.groupby(["label", pool["group"].fillna(NO_GROUP)]).indices.items())]
    counts = largest_remainder([len(places) for places in strata], wanted)
    chosen = [rng.permutation(places)[:count] for places, count in zip(strata, counts, strict=True)]
    return pool.iloc[np.concatenate(chosen)]


def _partners(generated: pd.DataFrame, held_out: pd.DataFrame, asked: int, rng: np.random.Generator) -> tuple[pd.DataFrame, list[str]]:
    """A real image for generated ones in turn, as like in label and group as there are, and what had to be taken from elsewhere."""
    left = held_out.sort_values("image_id", ignore_index=True)
    left = left.iloc[rng.permutation(len(left))]
    again = left.duplicated("cluster_id")                            # another patient before a second image of the same
    left = pd.concat([left[~again], left[again]])
    labels, groups = left["label"].to_numpy(), left["group"].to_numpy()
    turns = generated.iloc[rng.permutation(len(generated))]
    turns = turns.iloc[np.arange(asked) % len(turns)]                # more real than generated ones: a second turn
    wanted = list(turns[["label", "group", "generator"]].itertuples(index=False))
    free, partner, count = np.ones(len(left), dtype=bool), np.full(asked, -1), {}
    for step in ("both", "label", "group", "neither"):
        for turn in np.flatnonzero(partner < 0):
            label, group, _ = wanted[turn]
            same_label, same_group = labels == label, (groups == group) | pd.isna(group)     # no group was asked: any will do
            places = np.flatnonzero(free & {"both": same_label & same_group, "label": same_label, "group": same_group,
                                            "neither": np.ones_like(free)}[step])
            if len(places):
                free[places[0]], partner[turn], count[step] = False, places[0], count.get(step, 0) + 1
    paired = partner >= 0
    notices = []
    if not paired.all():
        notices.append(f"{counted(asked, 'real image')} wanted, {paired.sum():,} held out: raters see fewer real than generated ones")
    if unlike := int(paired.sum()) - count.get("both", 0):
        notices.append(f"{unlike:,} of {counted(int(paired.sum()), 'real image')} match no generated one in both label and group "
                       f"(label alone {count.get('label', 0):,}, group alone {count.get('group', 0):,}): their subject can give them away")
    return left.iloc[partner[paired]].assign(generator=turns["generator"].to_numpy()[paired]), notices
