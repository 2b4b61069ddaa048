"""From generated images to the curated table: score, fit limits on held-out real images, judge in order, select."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lib.curation.candidates import Candidates, Material
from lib.curation.checks import duplicate
from lib.curation.checks.reference import Reference
from lib.curation.checks.registry import applies, lacks, module_of
from lib.curation.funnel import EVERYONE, PASSED, PEOPLE, false_alarm_rates
from lib.curation.review.record import merge_scores, people_keep
from lib.curation.select import select
from lib.curation.thresholds import Limits, fit_limits, no_limits
from lib.study import Check, Curation
from lib.training.seeds import numpy_generator

_FOLDS = 5              # of the held-out images, to count false alarms on images that no limit was fitted on
_NAMED = 4              # cells that a note names
_KEPT = ["image_id", "path", "generator", "label", "tone_key", "group", "sha256"]


@dataclass(frozen=True)
class Curated:
    """What notebook 06 shows and writes."""

    table:        pd.DataFrame          # the curated table
    held_out:     pd.DataFrame          # real held-out images scored and judged as if generated: image_id, label, …, score_, pass_, verdict
    limits:       dict[str, Limits]     # check → its limits
    false_alarms: pd.DataFrame          # check, n, rejected, rate, low, high: on held-out images outside the fit; the last row is "any"
    group_alarms: pd.DataFrame          # the same by group: check, group, n, rejected, rate, low, high, p, p_holm, warning
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
    threads:  int                               = 1,            # changes nothing
    progress: Callable[[int, int], None] | None = None,         # called with (checks done, checks)
) -> Curated:
    """Judge every generated image. A check that cannot be measured for an image, a cell or at all says so; the others go on."""
    generated, held_out = material.generated, material.held_out
    reference, notes = Reference(material.train, held_out, options, threads), []
    scores, real, limits, cells = {}, {}, {}, [*generated.cells, *held_out.cells]
    for number, check in enumerate(options.checks, 1):
        title, module = check.title, module_of(check.check)
        usual = getattr(module, "usual", None)
        try:
            scores[title], real[title] = module.score(generated, reference, check), module.score(held_out, reference, check)
            fit = usual(reference, check, generated) if usual else real[title]
            limits[title] = fit_limits(check, fit, None if usual else held_out.cells, cells)
            why = _other_units(check, reference)
            if limits[title].fitted and np.isnan(scores[title]).all() and np.isnan(real[title]).all():
                why = "it cannot be measured on any image, generated or real"
            if why:
                limits[title] = no_limits(check, cells, f"{why}; no image was judged by it")
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
    alarms = _false_alarms(held_out, options, real, limits, reference)
    everyone, groups = (alarms[rows].reset_index(drop=True) for rows in (alarms["group"].eq(EVERYONE), alarms["group"].ne(EVERYONE)))
    notes += [*generated.encoders.notes, *_one_encoder(options.checks, reference), *_unfitted(limits),
              *_not_judged(generated, options.checks, limits, reference), *_unequal(groups)]
    realism = next((scores[check.title] for check in options.checks if check.check == "realism"), np.zeros(len(generated)))
    try:
        vectors = generated.vectors(options.encoder)
    except ValueError as error:
        vectors = np.zeros((len(generated), 1))
        notes.append(f"clusters: {error}; every cell is one cluster")
    chosen = select(table, vectors, realism, wanted, options)
    return Curated(pd.concat([table, chosen], axis=1), judged, limits, everyone[["check", "n", "rejected", "rate", "low", "high"]], groups,
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
        asked = _asked(images, check, limits[title], reference)
        good = limits[title].passes(values, images.cells) | (np.isnan(values) & (check.unmeasured == "keep"))
        table[f"score_{title}"] = values.astype(float)
        table[f"pass_{title}"] = pd.array(np.where(asked, good, None), dtype="boolean")
        verdict[(verdict == PASSED) & asked & ~good] = title
    return table.assign(verdict=verdict)


def _asked(images: Candidates, check: Check, limits: Limits, reference: Reference) -> np.ndarray:
    """[N] which images the check judges: it applies, it has limits, and there are training images to compare with."""
    if not limits.fitted:
        return np.zeros(len(images), dtype=bool)
    return applies(check.check, images) & pd.isna(lacks(check, images, reference))


def _false_alarms(held_out: Candidates, options: Curation, scores: dict[str, np.ndarray], limits: dict[str, Limits],
                  reference: Reference) -> pd.DataFrame:
    """What `false_alarm_rates` gives for limits from four fifths of the held-out images (whole clusters) that judge the fifth.

    Duplicates are left out: their limit comes from sets of the size of each generated cell (see `duplicate.usual`), of which there is one.
    """
    names = np.unique(held_out.clusters.astype(str))
    order = numpy_generator(options.seed, "false alarms").permutation(len(names))
    fold = dict(zip(names[order], np.arange(len(names)) % _FOLDS, strict=True))
    folds = np.array([fold[str(cluster)] for cluster in held_out.clusters], dtype=int)
    rejected = pd.DataFrame(pd.NA, index=range(len(held_out)), columns=[check.title for check in options.checks], dtype="boolean")
    for check in options.checks:
        title, asked = check.title, _asked(held_out, check, limits[check.title], reference)
        for number in range(_FOLDS if not hasattr(module_of(check.check), "usual") else 0):
            inside, outside = folds == number, folds != number
            refitted = fit_limits(check, scores[title][outside], held_out.cells[outside], list(held_out.cells)) if outside.any() else \
                limits[title]
            good = refitted.passes(scores[title], held_out.cells) | (np.isnan(scores[title]) & (check.unmeasured == "keep"))
            rejected.loc[inside & asked, title] = ~good[inside & asked]
    rejected["any"] = rejected.fillna(False).any(axis=1)
    return false_alarm_rates(rejected, held_out.table["group"].to_numpy())


def _other_units(check: Check, reference: Reference) -> str | None:
    """Why numbers of the study mean nothing: another encoder stands in for the one that they were chosen for."""
    numbers = [side for side in (check.least, check.most) if isinstance(side, (int, float))]
    if not numbers or not module_of(check.check).META.own_units:
        return None
    name = reference.encoder_of(check)
    seen = reference.train.encoders(name, "curation.perceptual" if check.check == "perceptual" else "curation.encoder")
    return f"the limit is in units of {name}, and {seen.name} stands in for it" if getattr(seen, "note", "") else None


def _one_encoder(checks: list[Check], reference: Reference) -> list[str]:
    """That copies are looked for by one encoder alone, where a fallback has made both the same."""
    said = []
    for check in (check for check in checks if check.check == "memorisation"):
        try:
            names = reference.encoder_of(check), reference.options.second_encoder
            first, second = (reference.train.encoders(name).name for name in names)
        except ValueError:                                  # the check itself has said so
            continue
        if first == second:
            said.append(f"{check.title}: both encoders are {first}, so it and the pixels are the only looks.")
    return said


def _unfitted(limits: dict[str, Limits]) -> list[str]:
    """What the report must say of limits that are not what the study asked for: each different thing once per check, with its cells."""
    said = []
    for title, one in limits.items():
        notes: dict[str, list[str]] = {}
        for (label, tone), limit in one.of.items():
            if limit.note:
                notes.setdefault(limit.note, []).append(f"{label}, tone {tone}" if tone is not None and not pd.isna(tone) else label)
        for note, cells in notes.items():
            more = f" and {len(cells) - _NAMED} more" if len(cells) > _NAMED else ""
            where = f" ({'; '.join(cells[:_NAMED])}{more})" if len(notes) > 1 else ""
            said.append(f"{title}: {note}{where}.")
    return said


def _not_judged(generated: Candidates, checks: list[Check], limits: dict[str, Limits], reference: Reference) -> list[str]:
    """Which cells a check could not judge for want of training images, and how many images that are."""
    said = []
    for check in (check for check in checks if limits[check.title].fitted):
        why = lacks(check, generated, reference)[applies(check.check, generated)]
        for reason, count in pd.Series(why, dtype=object).value_counts(sort=False).items():
            said.append(f"{check.title}: {reason}; {count:,} image{'s were' if count > 1 else ' was'} not judged by it.")
    return said


def _unequal(groups: pd.DataFrame) -> list[str]:
    """Groups whose real images would be rejected more often than others."""
    return [f"{row.check}: real images of group {row.group} would be rejected more often than those of other groups, {row.rate:.1%} of "
            f"{row.n} (p = {row.p_holm:.2g} after Holm)." for row in groups[groups["warning"].astype(bool)].itertuples()]
