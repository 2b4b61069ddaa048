"""What a study measured that can be held against a claimed figure: one function per kind of figure, from the study's tables to words.

Each returns "" where this study has nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from lib.report.comparisons import ALL
from lib.report.words import count, estimate, join, number, percent


@dataclass(frozen=True)
class Evidence:
    """What a study left behind."""

    baseline:    str
    by_arm:      pd.DataFrame                                   # of lib.stats.compare.per_arm
    changes:     pd.DataFrame                                   # of lib.stats.compare.differences, against the baseline
    wilcoxon:    pd.DataFrame                                   # of lib.stats.wilcoxon.wilcoxon_table
    samples:     pd.DataFrame
    datasets:    Mapping[str, str]                              # source → its data set (lib/data/info.py)
    curated:     pd.DataFrame | None             = None         # None: the study has no such table
    metrics:     Mapping[str, Mapping]           = field(default_factory=dict)    # job → its metrics.json
    generated:   frozenset[str]                  = frozenset()  # arms that train on generated images


def kappa_change(evidence: Evidence) -> str:
    """Relative change of Cohen's kappa in each arm with generated images."""
    rows = _everybody(evidence.changes, "cohen_kappa")
    base = _everybody(evidence.by_arm, "cohen_kappa").set_index("arm")["value"].get(evidence.baseline)
    rows = rows[rows["arm"].isin(evidence.generated) & rows["value"].notna()]
    if rows.empty or base is None or not base > 0:
        return ""
    return join([f"{row.arm} {100 * row.value / base:+.0f}% ({estimate(row.value, row.low, row.high)})".replace("-", "−")
                 for row in rows.itertuples()], 4) + f", against {number(base)} with {evidence.baseline}"


def precision_recall_f1(evidence: Evidence) -> str:
    """Precision, sensitivity and F1 of each arm, from the same predictions."""
    names = ("precision", "sensitivity", "f1")
    tables = [_everybody(evidence.by_arm, name).set_index("arm")["value"] for name in names]
    if any(table.empty or table.isna().all() for table in tables):
        return ""
    return join([f"{arm} {', '.join(number(table[arm]) for table in tables)}" for arm in tables[0].index], 4)


def share_selected(evidence: Evidence) -> str:
    """How many generated images of each generator were selected."""
    if evidence.curated is None:
        return ""
    return join([f"{name} {number(int(part['selected'].sum()))} of {number(len(part))} ({percent(part['selected'].mean())})"
                 for name, part in evidence.curated.groupby("generator")])


def nearest_distance(evidence: Evidence) -> str:
    """Distance of generated images to the nearest training image in the perceptual network, by generator."""
    return _scores(evidence, "score_perceptual", "median {}")


def confidence(evidence: Evidence) -> str:
    """Mean confidence of the classifiers of real images in the label that was asked for."""
    return _scores(evidence, "score_confidence", "mean {}", middle="mean")


def diversity(evidence: Evidence) -> str:
    """Mean distance within a class beside that of real images, with the encoder, by generator."""
    return _whole_sets(evidence, "diversity", 3)


def tone_error(evidence: Evidence) -> str:
    """How far the obtained skin colour is from the asked one, degrees of the individual typology angle, by generator."""
    return _whole_sets(evidence, "tone_error", 1, "°")


def ratings(evidence: Evidence) -> str:
    """Mean rating of generated images by people."""
    names = [] if evidence.curated is None else [name for name in evidence.curated.columns if str(name).startswith("human_")]
    rated = [(name, evidence.curated[name].dropna()) for name in names]
    return join([f"{name.removeprefix('human_')} {number(values.mean(), 2)} over {count(len(values), 'image')}"
                 for name, values in rated if len(values)])


def imbalance(evidence: Evidence) -> str:
    """The largest and the smallest class of the training images, where HAM10000 is among the sources."""
    rows = _of(evidence, "ham10000")
    if rows.empty:
        return ""
    counts = rows["label"].value_counts()
    return (f"{number(int(counts.iloc[-1]))} {counts.index[-1]} against {number(int(counts.iloc[0]))} {counts.index[0]} "
            f"({counts.iloc[0] / counts.iloc[-1]:.0f} to 1)")


def dark_skin(evidence: Evidence) -> str:
    """Images of HAM10000 with an individual typology angle under 28°."""
    known = _of(evidence, "ham10000")["ita"].dropna()
    return f"{number(int((known < 28).sum()))} of {number(len(known))} images whose skin could be measured" if len(known) else ""


def images_per_patient(evidence: Evidence) -> str:
    """Images and the units that were split, by source."""
    parts = [(name, len(part), part["cluster_id"].nunique()) for name, part in evidence.samples.groupby("dataset", sort=False)]
    return join([f"{number(images)} images in {number(units)} units ({name})" for name, images, units in parts], 4)


def smallest_p(evidence: Evidence) -> str:
    """The smallest p that Wilcoxon's test could give with this study's pairs."""
    rows = evidence.wilcoxon.dropna(subset=["smallest_possible"])
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return f"p as small as {number(float(row['smallest_possible']), 4)} with {count(int(row['pairs']), 'pair')}"


MEASURES: dict[str, Callable[[Evidence], str]] = {one.__name__: one for one in (
    kappa_change, precision_recall_f1, share_selected, nearest_distance, confidence, diversity, tone_error, ratings, imbalance, dark_skin,
    images_per_patient, smallest_p)}


def _everybody(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of a measure for everybody, of the mean over architectures or the only one."""
    rows = frame[(frame["metric"] == metric) & (frame["group"] == ALL)]
    return rows[rows["architecture"] == rows["architecture"].iloc[0]] if len(rows) else rows


def _scores(evidence: Evidence, column: str, words: str, middle: str = "median") -> str:
    if evidence.curated is None or column not in evidence.curated:
        return ""
    parts = [(name, part[column].dropna()) for name, part in evidence.curated.groupby("generator")]
    return join([f"{name} {words.format(number(float(getattr(values, middle)())))}" for name, values in parts if len(values)])


def _whole_sets(evidence: Evidence, statistic: str, digits: int, unit: str = "") -> str:
    """A statistic of notebook 06 over all images of each generator, with that of real images; where it has several encoders, the first."""
    said = []
    for job, metrics in evidence.metrics.items():
        whole = [row for row in metrics.get("set_scores", ()) if row["statistic"] == statistic and not row["label"] and not row["group"]]
        for row in whole[:1]:
            if row["value"] is not None:
                real = "" if row["floor"] is None else f"real images {number(row['floor'], digits)}{unit}; "
                said.append(f"{metrics.get('generator', job)} {number(row['value'], digits)}{unit} ({real}{row['encoder']})")
    return join(said, 4)


def _of(evidence: Evidence, dataset: str) -> pd.DataFrame:
    """The images of a data set."""
    return evidence.samples[evidence.samples["dataset"].map(dict(evidence.datasets)) == dataset]
