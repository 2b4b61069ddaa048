"""What is said about a drawn picture: the one wording that phantom-sd and phantom-siglip learn, and all of its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lib.phantom.camera import DOMAINS
from lib.phantom.lesions import DIAGNOSES

DIAGNOSIS_WORDS = {name: name.replace("_", " ") for name in DIAGNOSES} | {"vascular": "vascular lesion"}
TONE_WORDS      = {1: "i", 2: "ii", 3: "iii", 4: "iv", 5: "v", 6: "vi"}
ANY_DIAGNOSIS   = "a skin lesion"

# Shares of the shortened captions, so that "melanoma" alone is understood, and no caption at all (which guidance needs).
EMPTY        = 0.10
BARE         = 0.08     # nothing but the name of the diagnosis
NO_DIAGNOSIS = 0.06     # the last three are independent of each other
NO_TONE      = 0.15
NO_DOMAIN    = 0.25

# Further words that a prompt may use; they are single tokens, but no caption teaches them.
_SPARE = """
an and or to with without very light dark brown pale black white benign malignant
image picture close up patient group blurry ruler hair
"""


def caption(
    scene:     Mapping[str, Any],       # diagnosis, tone (1–6), domain: a row of lib.phantom.world.sample_world
    *,
    diagnosis: bool = True,             # False: "a skin lesion"
    tone:      bool = True,             # False: nothing about the skin
    domain:    bool = True,             # False: "a photo"
) -> str:
    """For example "a dermoscopic photo of seborrheic keratosis on fitzpatrick type iii skin". KeyError for an unknown word."""
    camera = f"{_known_domain(scene['domain'])} photo" if domain else "photo"
    lesion = DIAGNOSIS_WORDS[scene["diagnosis"]] if diagnosis else ANY_DIAGNOSIS
    skin = f" on fitzpatrick type {TONE_WORDS[int(scene['tone'])]} skin" if tone else ""
    return f"a {camera} of {lesion}{skin}"


def vary_caption(scene: Mapping[str, Any], generator: np.random.Generator) -> str:
    """A caption for one training step: whole, shortened or empty, by the shares above. Draws four numbers, whatever comes out."""
    kind, diagnosis, tone, domain = generator.random(4)
    if kind < EMPTY:
        return ""
    if kind < EMPTY + BARE:
        return DIAGNOSIS_WORDS[scene["diagnosis"]]
    return caption(scene, diagnosis=diagnosis >= NO_DIAGNOSIS, tone=tone >= NO_TONE, domain=domain >= NO_DOMAIN)


def words() -> list[str]:
    """Every word that a caption can hold, and some that a prompt may, in alphabetical order."""
    tones = "a photo of on fitzpatrick type skin " + " ".join(TONE_WORDS.values())
    text = " ".join([tones, ANY_DIAGNOSIS, *DIAGNOSIS_WORDS.values(), *DOMAINS, _SPARE])
    return sorted(set(text.split()))


def _known_domain(domain: str) -> str:
    if domain not in DOMAINS:
        raise KeyError(domain)
    return domain
