"""From generated images to the curated table: score, fit limits on held-out real images, judge in order, select."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lib.curation.candidates import Candidates, Material
from lib.curation.checks import duplicate
from lib.curation.checks.reference import Reference
from lib.curation.checks.registry import applies, module_of
from lib.curation.funnel import PASSED, PEOPLE
from lib.curation.review.record import merge_scores, people_keep
from lib.curation.select import select
from lib.curation.thresholds import Limits, fit_limits, no_limits
from lib.study import Check, Curation
from lib.training.seeds import numpy_generator

_FOLDS = 5              # of the held-out images, to count false alarms on images that no limit was fitted on
_KEPT = ["image_id", "path", "generator", "label", "tone_key", "group", "sha256"]


@dataclass(frozen=True)
class Curated:
    """What notebook 06 shows and writes."""

    table:        pd.DataFrame          # the curated table
    held_out:     pd.DataFrame          # real held-out images scored and judged as if generated: image_id, label, …, score_, pass_, verdict
    limits:       dict[str, Limits]     # check → its limits
    false_alarms: pd.DataFrame          # check, n, rejected, rate: on held-out images that took no part in the fit; the last row is "any"
    reference:    Reference
    notes:        list[str] = field(default_factory=list)

    def scores_of(self, check: str, options: Curation) -> np.ndarray:
        """[N] of the first check of this kind; NaN where the study has none."""
        title = next((one.title for one in options.checks if one.check == check), None)
        return np.full(len(self.table), np.nan) if title is None else self.table[f"score_{title}"].to_numpy(dtype=float)


def curate(
    material: Material,
    options:  Curation,
    wanted:   pd.DataFrame,                             # label, tone, images: of `wanted_images`
    *,
    people:   pd.DataFrame | None               = None,         # of `human_scores`: an image that people refuse is not used
    progress: Callable[[int, int], None] | None = None,         # called with (checks done, checks)
) -> Curated:
    """Judge every generated image. A check that cannot be measured for an image, a cell or at all says so; the others go on."""
    generated, held_out = material.generated, material.held_out
    reference, notes = Reference(material.train, held_out, options), []
    scores, real, limits, cells = {}, {}, {}, [*generated.cells, *held_out.cells]
    for number, check in enumerate(options.checks, 1):
        title, module = check.title, module_of(check.check)
        usual = getattr(module, "usual", None)
        try:
            scores[title], real[title] = module.score(generated, reference, check), module.score(held_out, reference, check)
            fit = usual(reference, check, generated) if usual else real[title]
            limits[title] = fit_limits(check, fit, None if usual else held_out.cells, cells)
        except ValueError as error:
            scores[title], real[title] = np.full(len(generated), np.nan), np.full(len(held_out), np.nan)
            limits[title] = no_limits(check, cells, f"{error}; no image was judged by it")
        if progress:
            progress(number, len(options.checks))
    table = _judge(generated, options.checks, scores, limits, reference)
    judged = _judge(held_out, options.checks, real, limits, reference)
    if people is not None and len(people):
        table = merge_scores(table, people)
        table.loc[table["verdict"].eq(PASSED) & ~people_keep(table, options.review), "verdict"] = PEOPLE
    notes += [*generated.encoders.notes, *_unfitted(limits)]
    realism = next((scores[check.title] for check in options.checks if check.check == "realism"), np.zeros(len(generated)))
    try:
        vectors = generated.vectors(options.encoder)
    except ValueError as error:
        vectors = np.zeros((len(generated), 1))
        notes.append(f"clusters: {error}; every cell is one cluster")
    chosen = select(table, vectors, realism, wanted, options)
    return Curated(pd.concat([table, chosen], axis=1), judged, limits, _false_alarms(held_out, options, real, limits, reference),
                   reference, notes)


def _judge(images: Candidates, checks: list[Check], scores: dict[str, np.ndarray], limits: dict[str, Limits],
           reference: Reference) -> pd.DataFrame:
    """Identity, score_ and pass_ of every check, and the verdict: the first check that an image fails, or "passed"."""
    table, verdict = images.table[_KEPT].copy(), np.full(len(images), PASSED, dtype=object)
    for check in checks:
        title, values = check.title, scores[check.title]
        if check.check == "duplicate" and np.isfinite(values).any():            # compared with accepted images, so known only now
            most = next(iter(limits[title].of.values())).most
            values = duplicate.walk(images, reference, check, verdict == PASSED, most)
        asked = applies(check.check, images) & limits[title].fitted
        good = limits[title].passes(values, images.cells) | (np.isnan(values) & (check.unmeasured == "keep"))
        table[f"score_{title}"] = values.astype(float)
        table[f"pass_{title}"] = pd.array(np.where(asked, good, None), dtype="boolean")
        verdict[(verdict == PASSED) & asked & ~good] = title
    return table.assign(verdict=verdict)


def _false_alarms(held_out: Candidates, options: Curation, scores: dict[str, np.ndarray], limits: dict[str, Limits],
                  reference: Reference) -> pd.DataFrame:
    """Shares of real held-out images that each check, and any, rejects: limits from four fifths (whole clusters) judge the fifth.

    The limit of duplicates is not fitted on single images (see `duplicate.usual`) and stays as it is.
    """
    names = np.unique(held_out.clusters.astype(str))
    order = numpy_generator(options.seed, "false alarms").permutation(len(names))
    fold = dict(zip(names[order], np.arange(len(names)) % _FOLDS, strict=True))
    folds = np.array([fold[str(cluster)] for cluster in held_out.clusters], dtype=int)
    rejected = pd.DataFrame(False, index=range(len(held_out)), columns=[check.title for check in options.checks])
    for check in options.checks:
        title, asked = check.title, applies(check.check, held_out) & limits[check.title].fitted
        for number in range(_FOLDS):
            inside, outside = folds == number, folds != number
            refitted = limits[title]
            if not hasattr(module_of(check.check), "usual") and outside.any():
                refitted = fit_limits(check, scores[title][outside], held_out.cells[outside], list(held_out.cells))
            good = refitted.passes(scores[title], held_out.cells) | (np.isnan(scores[title]) & (check.unmeasured == "keep"))
            rejected.loc[inside, title] = (asked & ~good)[inside]
    rejected["any"] = rejected.any(axis=1)
    counts = rejected.sum()
    return pd.DataFrame({"check": counts.index, "n": len(held_out), "rejected": counts.to_numpy(dtype=int),
                         "rate": counts.to_numpy() / max(1, len(held_out))})


def _unfitted(limits: dict[str, Limits]) -> list[str]:
    """What the report must say of limits that are not what the study asked for, once per check."""
    said = {}
    for title, one in limits.items():
        for limit in one.of.values():
            if limit.note:
                said.setdefault(title, f"{title}: {limit.note}.")
    return list(said.values())
