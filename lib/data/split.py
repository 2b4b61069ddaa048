"""Train, validation and test as whole clusters: a patient (else a lesion), joined with whoever shares an identical image.

Images are dealt so that each label × group has the wished shares as nearly as whole clusters allow (greedy apportionment in
the manner of Sechidis et al. 2011, ECML, "On the stratification of multi-label data"). The result depends on the ids and the
seed alone, never on the order of rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lib.data.errors import DataError, shorten

SPLITS = ("train", "validation", "test")
_WEIGHTS = (1.0, 0.5, 0.25)         # how much a share missed in the label × group, in the label and overall counts


def cluster_ids(
    frame:       pd.DataFrame,                              # image_id, patient_id, lesion_id, sha256; all but image_id may be null
    extra_pairs: Iterable[tuple[str, str]] = (),            # image_ids that belong together for another reason (near-duplicates)
) -> pd.Series:
    """The unit of splitting and of the bootstrap for each row, named after its first patient (else lesion, else image).

    Rows of one image_id are one image, as where two releases list it, each under a patient of its own.
    Raises DataError when an extra pair names an image that is not in the frame.
    """
    count = len(frame)
    links = [np.zeros((2, 0), dtype=np.int64)]
    for column in ("image_id", "patient_id", "lesion_id", "sha256"):
        if column in frame:
            codes = pd.factorize(frame[column])[0]
            known = np.flatnonzero(codes >= 0)
            _, first = np.unique(codes[known], return_index=True)
            if len(known):
                links.append(np.stack([known, known[first][codes[known]]]))
    pairs = list(extra_pairs)
    if pairs:
        place = pd.Series(range(count), index=frame["image_id"].astype(str))
        place = place[~place.index.duplicated()]
        unknown = [image_id for pair in pairs for image_id in pair if image_id not in place.index]
        if unknown:
            raise DataError(f"extra_pairs names images that are not in the table: {shorten(unknown)}")
        links.append(place.loc[[image_id for pair in pairs for image_id in pair]].to_numpy().reshape(-1, 2).T)
    ends = np.concatenate(links, axis=1)
    _, component = connected_components(coo_array((np.ones(ends.shape[1], dtype=bool), tuple(ends)), shape=(count, count)), directed=False)
    own = frame["image_id"].astype(object)
    for column in ("lesion_id", "patient_id"):
        if column in frame:
            own = frame[column].astype(object).where(frame[column].notna(), own)
    names = pd.Series(own.astype(str).to_numpy()).groupby(component).min()
    twice = names.duplicated(keep=False)                    # a patient called like somebody else's image
    if twice.any():
        images = pd.Series(frame["image_id"].astype(str).to_numpy()).groupby(component).min()
        names[twice] = names[twice] + "#" + images[twice]
    return pd.Series(names.to_numpy()[component], index=frame.index, name="cluster_id", dtype=object).astype("str")


def assign_splits(
    frame:     pd.DataFrame,                # cluster_id, label, group (null allowed), dataset
    shares:    Mapping[str, float],         # split → wished share; 0 leaves the split out
    seed:      int,
    *,
    test_only: Collection[str] = (),        # data sets whose images are test whatever the shares
    reserve:   Collection[str] = (),        # data sets whose images are kept back whatever the shares
) -> pd.Series:
    """The split of each row; every class is in every split with a share above 0, every cluster in one split.

    Raises DataError when a class has fewer clusters than there are splits, or when a cluster has images in a test-only or reserve and
    in another data set.
    """
    wished = {split: share for split, share in shares.items() if share > 0}
    unknown = [split for split in wished if split not in SPLITS]
    if unknown or not wished or abs(sum(wished.values()) - 1) > 1e-9:
        raise DataError(f"shares are {dict(shares)}; expected shares of {', '.join(SPLITS)} with a sum of 1")
    judge, kept = (frame["dataset"].isin(list(names)) for names in (test_only, reserve))
    for apart, kind in ((judge, "test-only"), (kept, "reserve")):
        _no_spanning(frame, apart, kind)
    result = pd.Series("test", index=frame.index, name="split", dtype=object).mask(kept, "reserve")
    learns = ~judge & ~kept
    rest = frame[learns]
    _enough(rest, frame["label"], list(wished))
    dealt = deal(rest, wished, seed)
    result[learns] = rest["cluster_id"].map(dealt)
    return result.astype("str")


def check_classes(
    labels: pd.Series,
    splits: pd.Series,              # of the same rows
    wanted: Collection[str],        # splits that need every class
    where:  str,                    # for the message
) -> None:
    """Raise DataError where a split lacks a class."""
    there = set(zip(labels, splits, strict=True))
    gaps = [f"{label} in {split}" for label in sorted(labels.unique()) for split in wanted if (label, split) not in there]
    if gaps:
        raise DataError(f"{where}: has no image of {shorten(gaps)}; every class is needed in every split")


def missing_from_test(
    samples: pd.DataFrame,          # label, split, and with cross-validation split_1 …
    labels:  Collection[str],       # the study's classes, in its order
) -> list[str]:
    """A sentence for each class without a test image; training goes on without it, so the reader must be told."""
    there = set(samples.loc[samples.filter(regex=r"^split(_\d+)?$").eq("test").any(axis=1), "label"])
    return [f"no test image of class {label}: it cannot be judged" for label in labels if label not in there]


_LEAVE_OUT = {"test-only": "leave their other images out, or the test would know them",
              "reserve":   "leave their images in the reserve out, or it would hold nobody new"}


def _no_spanning(frame: pd.DataFrame, apart: pd.Series, kind: str) -> None:
    both = sorted(set(frame.loc[apart, "cluster_id"]) & set(frame.loc[~apart, "cluster_id"]))
    if both:
        raise DataError(f"{len(both):,} patients have images both in a {kind} and in another source ({shorten(both, 3)}); "
                        f"{_LEAVE_OUT[kind]}")


def _enough(rest: pd.DataFrame, labels: pd.Series, splits: list[str]) -> None:
    patients = rest.groupby("label", observed=True)["cluster_id"].nunique()
    images = rest["label"].value_counts()
    for label in sorted(labels.unique(), key=lambda name: (patients.get(name, 0), str(name))):
        count = int(patients.get(label, 0))
        if count < len(splits):
            raise DataError(
                f"class {label!r}: its {images.get(label, 0):,} images for learning come from {count} patient{'s' * (count != 1)} (or "
                f"lesions, where patients are not named), and {', '.join(splits)} each need one of their own. Add images of more "
                "patients, merge it with another class (labels.classes), or leave it out (labels.exclude)"
            )


def deal(
    rest:   pd.DataFrame,               # cluster_id, label, group (null allowed)
    wished: Mapping[str, float],        # part → its share of the images
    seed:   int,
    *,
    complete: bool = True,              # every part gets every class; DataError where it cannot
) -> dict[str, str]:
    """cluster → part, largest clusters first, each to the part that has missed most of its strata so far."""
    splits, share = list(wished), list(wished.values())
    strata = rest["label"].astype(str) + "\n" + rest["group"].astype(object).where(rest["group"].notna(), "").astype(str)
    counts = pd.DataFrame({"cluster": rest["cluster_id"].to_numpy(), "stratum": strata.to_numpy()}).value_counts().sort_index()
    content: dict[str, dict[str, int]] = {}
    for (cluster, stratum), images in counts.items():
        content.setdefault(cluster, {})[stratum] = int(images)
    lot = {cluster: hashlib.sha256(f"{seed}\n{cluster}".encode()).digest() for cluster in content}
    order = sorted(content, key=lambda cluster: (-sum(content[cluster].values()), lot[cluster]))
    totals: dict[object, int] = {}
    have: dict[object, list[int]] = {}
    dealt = {}
    for cluster in order:
        size = sum(content[cluster].values())
        score = [0.0] * len(splits)
        for stratum, images in content[cluster].items():
            for key, weight in zip(_keys(stratum), _WEIGHTS, strict=True):
                totals[key] = totals.get(key, 0) + images
                held = have.setdefault(key, [0] * len(splits))
                for k in range(len(splits)):
                    score[k] += weight * images / size * (share[k] * totals[key] - held[k])
        chosen = max(range(len(splits)), key=lambda k: (round(score[k], 9), share[k], -k))
        dealt[cluster] = splits[chosen]
        for stratum, images in content[cluster].items():
            for key in _keys(stratum):
                have[key][chosen] += images
    if complete:
        _fill_gaps(dealt, content, splits, lot)
    return dealt


def _keys(stratum: str) -> tuple[object, ...]:
    return ("stratum", stratum), ("label", stratum.partition("\n")[0]), ("all",)


def _fill_gaps(dealt: dict[str, str], content: dict[str, dict[str, int]], splits: list[str], lot: dict[str, bytes]) -> None:
    """Give each split a cluster of every label, moving the smallest one that its own split can spare."""
    labels = {cluster: {stratum.partition("\n")[0] for stratum in strata} for cluster, strata in content.items()}
    holders: dict[str, list[str]] = {}
    for cluster, names in labels.items():
        for name in names:
            holders.setdefault(name, []).append(cluster)
    number = {(name, split): 0 for name in holders for split in splits}
    for cluster, names in labels.items():
        for name in names:
            number[name, dealt[cluster]] += 1
    for label in sorted(holders, key=lambda name: (len(holders[name]), name)):
        for split in splits:
            if number[label, split]:
                continue
            spare = [cluster for cluster in holders[label] if all(number[name, dealt[cluster]] > 1 for name in labels[cluster])]
            if not spare:
                raise DataError(f"class {label!r}: no patient can be moved to {split} without emptying another class's split; its patients "
                                "also have images of other classes. Add patients, merge classes or leave one out")
            moved = min(spare, key=lambda cluster: (-number[label, dealt[cluster]], sum(content[cluster].values()), lot[cluster]))
            for name in labels[moved]:
                number[name, dealt[moved]] -= 1
                number[name, split] += 1
            dealt[moved] = split
