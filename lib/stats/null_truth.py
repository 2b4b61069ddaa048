"""How often does a study say *better* where nothing helps: worlds drawn anew, trained, judged, and the verdicts counted (notebook 13).

Each repeat goes the whole way that a study goes (split by patient, the trainer, calibration, clustered bootstrap, verdict). A generator
that shuffles its labels can only do harm, and one that copies training images gives each as often as `oversampled` draws it: *better* is
wrong for both, and with a 95 % interval it should come up in at most 2.5 % of the repeats. An honest generator, which draws more phantoms
of a scarce group, shows that *better* can be said at all.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from lib.classify.chunk import join_predictions, run_cells
from lib.classify.grid import Cell
from lib.classify.sabotage import draw_world, pool_of
from lib.files import write_json
from lib.process import die_with_parent
from lib.stats.evaluate import evaluate
from lib.stats.evaluation import ALL
from lib.stats.verdict import give_verdict
from lib.study import Classifier, Compute, Data, Groups, Labels, NullTruth, Primary, Split, Statistics, Study
from lib.study import fingerprint as digest

ADDS        = "diffusion_curated"                   # the arm whose rules mix a generator's images with the real ones
COMPARISONS = {"shuffled": "real", "copies": "oversampled", "honest": "real"}      # generator → the arm that it is held against
NULL        = ("shuffled", "copies")                # of these *better* is wrong
KINDS       = ("better", "equivalent", "worse", "cannot tell", "not estimable")
COLUMNS     = ("repeat", "generator", "baseline", "group", "value", "low", "high", "kind", "images", "patients")


@dataclass(frozen=True)
class Setting:
    """What a repeat depends on: sections of a study."""

    null_truth: NullTruth
    data:       Data
    labels:     Labels
    groups:     Groups
    split:      Split
    classifier: Classifier
    statistics: Statistics

    @classmethod
    def of(cls, study: Study) -> Setting:
        """Out of a study, or out of what a notebook may see of it."""
        return cls(**{one.name: getattr(study, one.name) for one in fields(cls)})

    def mark(self, fingerprint: str, repeat: int) -> str:
        """Of everything that decides a repeat; how many there are does not."""
        given = {name: section.model_dump(mode="json") for name, section in vars(self).items()}
        given["null_truth"].pop("repeats")
        return digest([fingerprint, given, repeat])


def run_repeats(
    setting:     Setting,
    folder:      Path,                  # keeps a file per finished repeat; a run that was stopped goes on from them
    *,
    fingerprint: str,                   # of the code: repeats that were made otherwise are made again
    workers:     int = 1,               # repeats at once, each on one thread; any number gives the same
    progress:    Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """A row per repeat, generator and group ("all" and that of `null_truth.group`), in this order: COLUMNS."""
    repeats = range(setting.null_truth.repeats)
    found = {}
    for repeat, rows in _each(setting, folder, fingerprint, workers):
        found[repeat] = rows
        if progress:
            progress(len(found), len(repeats))
    return pd.DataFrame([row for repeat in repeats for row in found[repeat]], columns=list(COLUMNS))


def run_repeat(
    setting:     Setting,
    repeat:      int,
    folder:      Path,
    fingerprint: str,
) -> list[dict[str, Any]]:
    """The rows of one repeat, read where they lie finished; what its networks leave behind is deleted at the end."""
    place, work, mark = folder / f"repeat-{repeat:04d}.json", folder / f"repeat-{repeat:04d}", setting.mark(fingerprint, repeat)
    if place.is_file() and (kept := json.loads(place.read_text(encoding="utf-8")))["fingerprint"] == mark:
        return [row | {name: np.nan for name in ("value", "low", "high") if row[name] is None} for row in kept["rows"]]
    predictions = train_world(setting, repeat, work, mark)
    rows = judge_world(setting, repeat, predictions)
    plain = [{name: None if value != value else value for name, value in row.items()} for row in rows]
    write_json(place, {"fingerprint": mark, "rows": plain})
    shutil.rmtree(work)
    return rows


def train_world(
    setting:     Setting,
    repeat:      int,
    folder:      Path,
    fingerprint: str,
) -> pd.DataFrame:
    """The `predictions` table of one world: arms real and oversampled, and one per generator under its name."""
    world, parts, count = draw_world(setting, repeat), [], len(setting.classifier.seeds)
    seeds = range(repeat * count, (repeat + 1) * count)                     # no two repeats share one
    arms = {"real": "real", "oversampled": "oversampled"} | dict.fromkeys(COMPARISONS, ADDS)
    for name, arm in arms.items():
        outcomes = run_cells(
            [Cell(arm, architecture, seed) for architecture in setting.classifier.architectures for seed in seeds],
            pool_of(world, name if name in COMPARISONS else None), setting.labels, setting.classifier,
            folder=folder / name, compute=Compute(device="cpu"), fingerprint=digest([fingerprint, name]),
        )
        parts.append(join_predictions(outcomes).assign(arm=name))
    return pd.concat(parts, ignore_index=True)


def judge_world(setting: Setting, repeat: int, predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """The verdict on each generator, for everybody and for the scarce group, each as if it were the only one declared.

    Alone, because Holm's correction over several would make *better* rarer than it is where one comparison is declared.
    """
    options = setting.null_truth
    evaluation = evaluate(predictions, [options.metric], classes=setting.labels.names, positive=setting.labels.positive,
                          groups=[options.group], resamples=setting.statistics.resamples, confidence=setting.statistics.confidence,
                          seed=setting.statistics.seed + repeat, minimum_positives=setting.groups.minimum_positives,
                          minimum_sensitivity=setting.statistics.minimum_sensitivity)
    rows = []
    for generator, baseline in COMPARISONS.items():
        for group in (None, options.group):
            verdict = give_verdict(evaluation, Primary(metric=options.metric, group=group, arm=generator, baseline=baseline,
                                                       margin=options.margin))
            difference = verdict.difference
            rows.append(dict(zip(COLUMNS, (repeat, generator, baseline, group or ALL, difference.value, difference.low, difference.high,
                                           verdict.kind if difference.estimable else "not estimable", int(verdict.n_images),
                                           int(verdict.n_clusters)), strict=True)))
    return rows


def count_verdicts(
    rows:       pd.DataFrame,           # of `run_repeats`
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Verdicts by generator and group: a column per word of KINDS, repeats (estimable ones), share of *better* with its exact interval
    (Clopper & Pearson 1934) as share, low, high, mean (of the differences), zero_inside (share of intervals that hold zero).
    """
    found = []
    for (generator, baseline, group), part in rows.groupby(["generator", "baseline", "group"], sort=False):
        judged = part[part["kind"] != "not estimable"]
        counts = {kind: int((part["kind"] == kind).sum()) for kind in KINDS}
        share = {"share": np.nan, "low": np.nan, "high": np.nan}
        if len(judged):
            test = binomtest(counts["better"], len(judged))
            interval = test.proportion_ci(confidence_level=confidence, method="exact")
            share = {"share": test.statistic, "low": interval.low, "high": interval.high}
        inside = (judged["low"] <= 0) & (judged["high"] >= 0)
        found.append({"generator": generator, "baseline": baseline, "group": group, **counts, "repeats": len(judged), **share,
                      "mean": judged["value"].mean(), "zero_inside": inside.mean()})
    return pd.DataFrame(found)


def _each(setting: Setting, folder: Path, fingerprint: str, workers: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Repeats and their rows as they are finished, in any order."""
    folder.mkdir(parents=True, exist_ok=True)
    repeats = range(setting.null_truth.repeats)
    if workers == 1:
        yield from ((repeat, run_repeat(setting, repeat, folder, fingerprint)) for repeat in repeats)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=die_with_parent) as processes:
        tasks = {processes.submit(run_repeat, setting, repeat, folder, fingerprint): repeat for repeat in repeats}
        try:
            yield from ((tasks[task], task.result()) for task in as_completed(tasks))
        finally:
            for task in tasks:
                task.cancel()
