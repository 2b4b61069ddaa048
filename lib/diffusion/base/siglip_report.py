"""How well phantom-siglip knows drawn lesions, beside the oracle's ceilings, and its card."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, SiglipModel

from lib.diffusion.base.batches import to_network
from lib.diffusion.base.captions import caption
from lib.diffusion.base.pool import Pool
from lib.diffusion.base.siglip_model import image_vectors
from lib.phantom.lesions import USUAL
from lib.phantom.tone import TYPES

_TOP = 10           # pictures that a search returns


def measure(
    model:     SiglipModel,
    tokenizer: PreTrainedTokenizerFast,
    probe:     Pool,                    # pictures that a linear probe learns from
    held_out:  Pool,                    # pictures that everything is measured on
    ceiling:   Mapping,                 # lib.diffusion.base.oracle.ceiling()
) -> dict:
    """Shares of right answers, each {"all", "by_tone", "of_ceiling"}: {"zero_shot", "probe"} → {"diagnosis", "tone"}, and "search".

    Zero-shot: the nearest of the captions that name one diagnosis (or one tone) and nothing else. Probe: logistic regression on the
    image vectors. Search: of the ten pictures nearest to each caption of a diagnosis and a tone, how many show it.
    """
    seen, known = embed_pool(model, held_out), embed_pool(model, probe)
    scenes = held_out.scenes
    truth = {"diagnosis": scenes["diagnosis"].to_numpy(), "tone": scenes["tone"].to_numpy()}
    diagnoses = embed_texts(model, tokenizer, [_say(diagnosis=name) for name in USUAL])
    tones = embed_texts(model, tokenizer, [_say(tone=tone) for tone in TYPES])
    said = {
        "zero_shot": {"diagnosis": np.array(USUAL)[(seen @ diagnoses.T).argmax(1)], "tone": np.array(TYPES)[(seen @ tones.T).argmax(1)]},
        "probe":     {name: _probe(known, probe.scenes[name].to_numpy(), seen) for name in truth},
    }
    table = {
        way: {name: _shares(answers[name] == truth[name], scenes["tone"], ceiling[name]["all"]) for name in truth}
        for way, answers in said.items()
    }
    return table | {"search": _search(model, tokenizer, seen, truth), "images": len(held_out)}


@torch.inference_mode()
def embed_pool(model: SiglipModel, pool: Pool, *, batch: int = 256) -> np.ndarray:
    """Vectors of length 1, float32 [N, D]."""
    parts = [image_vectors(model, to_network(pool.pixels[start:start + batch])) for start in range(0, len(pool), batch)]
    return torch.cat(parts).numpy()


@torch.inference_mode()
def embed_texts(model: SiglipModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> np.ndarray:
    """Vectors of length 1, float32 [M, D]."""
    tokens = tokenizer(texts, padding="max_length", return_tensors="pt")["input_ids"]
    return functional.normalize(model.get_text_features(tokens).pooler_output, dim=1).numpy()


def card(table: dict, facts: Mapping[str, str], ceiling: Mapping) -> str:
    """The model card, from measured numbers. `facts`: what was trained on what for how long, as sentences by heading."""
    rows = []
    for way, word in (("zero_shot", "zero-shot"), ("probe", "linear probe")):
        for name in ("diagnosis", "tone"):
            figures = table[way][name]
            by_tone = " | ".join(f"{figures['by_tone'][str(tone)]:.3f}" for tone in TYPES)
            rows.append(f"| {word}, {name} | {figures['all']:.3f} | {by_tone} | {figures['of_ceiling']:.2f} |")
    for name in ("diagnosis", "tone"):
        by_tone = " | ".join(f"{ceiling[name]['by_tone'][str(tone)]:.3f}" for tone in TYPES)
        rows.append(f"| oracle, {name} | {ceiling[name]['all']:.3f} | {by_tone} | 1.00 |")
    search = table["search"]
    return f"""# phantom-siglip

A small two-tower model of pictures and captions (`SiglipModel` of transformers) that knows drawn skin lesions (`lib/phantom`) and
stands where SigLIP stands. **It has seen all six Fitzpatrick types.** Licence: Apache-2.0. Not for photographs: it has never seen one,
and a distance measured with its features is no FID, CMMD or LPIPS unless the model is named.

{chr(10).join(f"* {heading}: {text}" for heading, text in facts.items())}

## Measured on {table["images"]:,} held-out drawn pictures

Share of right answers by type, and as a share of the oracle's (an independent classifier; `phantom_oracle/card.md`).

| | all | I | II | III | IV | V | VI | of the oracle's |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Search, the {_TOP} pictures nearest to each of 42 captions such as "{_say("melanoma", 5)}":
{search["diagnosis"]:.2f} show the diagnosis (chance {search["chance"]["diagnosis"]:.2f}), {search["tone"]:.2f} the type
(chance {search["chance"]["tone"]:.2f}), {search["both"]:.2f} both (chance {search["chance"]["both"]:.2f}).
"""


def _say(diagnosis: str | None = None, tone: int | None = None) -> str:
    scene = {"diagnosis": diagnosis, "tone": tone, "domain": None}
    return caption(scene, diagnosis=diagnosis is not None, tone=tone is not None, domain=False)


def _probe(known: np.ndarray, answers: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(known, answers).predict(seen)


def _search(model: SiglipModel, tokenizer: PreTrainedTokenizerFast, seen: np.ndarray, truth: Mapping[str, np.ndarray]) -> dict:
    asked = [(diagnosis, tone) for diagnosis in USUAL for tone in TYPES]
    texts = embed_texts(model, tokenizer, [_say(*pair) for pair in asked])
    nearest = np.argsort(-(texts @ seen.T), axis=1, kind="stable")[:, :_TOP]
    right_diagnosis = truth["diagnosis"][nearest] == np.array([diagnosis for diagnosis, _ in asked])[:, None]
    right_tone = truth["tone"][nearest] == np.array([tone for _, tone in asked])[:, None]
    chance = {"diagnosis": 1 / len(USUAL), "tone": 1 / len(TYPES), "both": 1 / len(asked)}
    found = {"diagnosis": right_diagnosis, "tone": right_tone, "both": right_diagnosis & right_tone}
    return {name: round(float(values.mean()), 4) for name, values in found.items()} | {"chance": chance}


def _shares(right: np.ndarray, tones: pd.Series, ceiling: float) -> dict:
    by_tone = pd.Series(right).groupby(tones.to_numpy()).mean()
    return {
        "all":        round(float(right.mean()), 4),
        "by_tone":    {str(tone): round(float(share), 4) for tone, share in by_tone.items()},
        "of_ceiling": round(float(right.mean() / ceiling), 4),
    }
