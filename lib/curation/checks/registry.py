"""Checks by the name that a study gives them."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks import (
    agreement,
    blur,
    brightness,
    confidence,
    duplicate,
    match,
    memorisation,
    perceptual,
    realism,
    resolution,
    ssim,
    tone,
    tone_confidence,
)
from lib.curation.checks.reference import Reference
from lib.names import look_up
from lib.study import Check

MODULES: dict[str, ModuleType] = {module.__name__.rpartition(".")[2]: module for module in (
    resolution, brightness, blur, ssim, perceptual, realism, confidence, agreement, tone, tone_confidence, match, duplicate, memorisation,
)}


def module_of(check: str) -> ModuleType:
    """The file of a check. ValueError for an unknown name, with the nearest."""
    return look_up("check", check, MODULES)


def applies(check: str, candidates: Candidates) -> np.ndarray:
    """[N] to which images the check applies: a GAN is asked for no tone."""
    asked = getattr(module_of(check), "applies", None)
    return np.ones(len(candidates), dtype=bool) if asked is None else asked(candidates)


def lacks(check: Check, candidates: Candidates, reference: Reference) -> np.ndarray:
    """[N] why an image of its label or tone has nothing to be compared with, None where it has."""
    of = getattr(module_of(check.check), "lacks", None)
    return np.full(len(candidates), None) if of is None else of(candidates, reference, check)
