"""Data sets that hold the same images: pooling them would count images twice and let a test meet its training images.

Declared is what the publishers say. What is only suspected is found by content instead (`data.duplicates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from lib.study import Source


@dataclass(frozen=True)
class Overlap:
    """Two data sets that share images."""

    datasets: frozenset[str]
    reason:   str
    evidence: str               # who says so


OVERLAPS = (
    Overlap(frozenset({"isic_2019", "ham10000"}), "ISIC 2019 contains all 10,015 images of HAM10000",
            "challenge.isic-archive.com/data, 2019: the training images come from HAM10000, BCN_20000 and MSK"),
    Overlap(frozenset({"isic_2019", "bcn20000"}), "most images of BCN20000 were first published as a part of ISIC 2019",
            "challenge.isic-archive.com/data, 2019; Hernández-Pérez et al. 2024, Scientific Data 11:641"),
)
SUSPECTED = frozenset({"isic_2019", "isic_2020", "ham10000", "bcn20000"})     # of one archive, partly of the same hospitals
_OWN = ("phantom", "image_folder")          # drawn anew for each source; one folder may hold several tables
_OVERRIDE = "data.shared_images: first_source"


def check_pools(
    sources:       Sequence[Source],
    shared_images: str,                     # refuse, or first_source: the later copies are left out when images come in
) -> None:
    """Raise ValueError for the first two sources known to share images, with the reason and the way out.

    Nothing is raised under `first_source`.
    """
    if shared_images == "first_source":
        return
    for first, second in combinations(sources, 2):
        why = shared(first, second)
        if why:
            raise ValueError(f"{first.title} and {second.title} share images: {why.reason} ({why.evidence}). Pooled, these images would "
                             f"count twice and could lie in training and in test. Take one of the two out, or write {_OVERRIDE} to use "
                             f"each shared image once, from the source that stands first")


def shared(first: Source, second: Source) -> Overlap | None:
    """What is known of images that two sources share; None where nothing is."""
    if first.dataset == second.dataset and first.folder == second.folder and first.dataset not in _OWN:
        return Overlap(frozenset({first.dataset}), f"both are {first.dataset}, from one folder", "the study itself")
    pair = frozenset({first.dataset, second.dataset})
    return next((overlap for overlap in OVERLAPS if overlap.datasets == pair), None)


def suspected_notes(
    sources: Sequence[Source],
) -> list[str]:
    """A sentence for each pair of sources that may share images although no publisher says so."""
    pairs = [(first, second) for first, second in combinations(sources, 2)
             if {first.dataset, second.dataset} <= SUSPECTED and shared(first, second) is None]
    return [f"{first.title} and {second.title} come from the ISIC Archive and partly from the same hospitals. No shared image is declared, "
            "but copies between the yearly releases were found (Cassidy et al. 2022, Medical Image Analysis 75:102305): keep "
            "data.duplicates.near on" for first, second in pairs]
