"""The same cells drawn by the base model alone, with learnt tokens, and with tokens and LoRA, from the same seeds (notebook 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.data.images import read_image
from lib.diffusion.generate import generate
from lib.diffusion.hub import load_pipeline
from lib.diffusion.requests import Requests
from lib.diffusion.studio import Studio
from lib.diffusion.words import TYPES
from lib.phantom.camera import DOMAINS
from lib.study import Base, Generation, Groups, ImagePrompt, Truth


def draw_variants(
    studio:     Studio,                     # with nothing learnt in its pipeline, and left so
    truth:      Truth,
    base:       Base,                       # of the studio
    generation: Generation,                 # steps, guidance, scheduler, batch size, weight of the adapter
    groups:     Groups,
    *,
    tokens:      Path | None,               # folder of 02
    lora:        Path | None,               # folder of 03
    folder:      Path,                      # a subfolder of pictures for each variant and start; the same call resumes
    fingerprint: Any = None,                # plain values for what decides pictures and is not seen here: code
    progress:    Callable[[str], Callable[[int, int], None]] | None = None,     # title → called with (pictures done, pictures)
) -> tuple[np.ndarray, pd.DataFrame]:
    """Every variant from every start: pictures uint8 [N, S, S, 3], and what was asked: variant, start, label, tone, domain, prompt.

    `truth.images` of each label × type, all domains alike. Seeds follow from cell and place, so the same place of two variants starts
    from the same noise. Every picture counts, also one that the cheap checks of generation would refuse; only one that is not finite is
    missing. ValueError where the study did not learn what a variant needs.
    """
    cells = pd.DataFrame(product(studio.words.classes, TYPES), columns=["label", "tone"]).assign(images=truth.images)
    pixels, asked = [], []
    for key in truth.variants:
        variant, name = with_learnt(studio, key, base, tokens=tokens, lora=lora, scale=generation.lora_scale)
        for start in truth.starts:
            drawing = generation.model_copy(update={"start": start, "seed": truth.seed, "image_prompt": ImagePrompt()})
            requests = Requests(cells, variant.words, dict.fromkeys(DOMAINS, 1.0), drawing, groups, study="truth", tokens=variant.tokens)
            drawn = generate(
                requests, variant.sampler(drawing), folder=folder / f"{key}-{start}", accept=_everything, attempts=1,
                provenance=variant.provenance(), fingerprint=fingerprint, progress=progress and progress(f"{name}, {start} start"),
            ).table()
            drawn = drawn[drawn["accepted"].astype(bool)]
            pixels += [read_image(folder / f"{key}-{start}" / path) for path in drawn["path"]]
            rows = drawn[["label", "tone", "domain", "prompt"]].assign(tone=drawn["tone"].astype(int))
            asked.append(rows.assign(variant=name, start=start))
    return np.stack(pixels), pd.concat(asked, ignore_index=True)


def with_learnt(
    studio: Studio,
    key:    str,                            # base; tokens; lora: the adapter, with the tokens where there are any
    base:   Base,
    *,
    tokens: Path | None = None,
    lora:   Path | None = None,
    scale:  float       = 1.0,              # of the adapter
) -> tuple[Studio, str]:
    """The studio with a pipeline of its own that has learnt so much, and its name: "base", "tokens", "LoRA" or "tokens + LoRA"."""
    known = {"base": True, "tokens": tokens, "lora": lora}
    if not known.get(key):
        raise ValueError(f"truth.variants names {key}, which this study did not learn; there are "
                         f"{', '.join(other for other, found in known.items() if found)}")
    fresh = replace(studio, pipeline=load_pipeline(base, device=studio.accelerator.device),
                    tokens=[], token_sha256=None, adapter=None, adapter_sha256=None)
    if key == "tokens":
        fresh.take_tokens(tokens)
    if key == "lora":
        fresh.take_tokens(lora)             # where 03 refined them, they are not those of 02
        fresh.take_adapter(lora, scale=scale)
    return fresh, key if key != "lora" else "tokens + LoRA" if fresh.tokens else "LoRA"


def _everything(_: np.ndarray) -> None:
    """No picture is refused: what is judged is what comes out."""
