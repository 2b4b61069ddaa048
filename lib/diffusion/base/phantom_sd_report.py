"""How well phantom-sd rebuilds and draws lesions, judged by the oracle beside its ceilings, and the card that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from lib.diffusion.base import autoencoder
from lib.diffusion.base.captions import caption
from lib.diffusion.base.oracle import Oracle, ceiling
from lib.diffusion.base.pool import SEED_HELD_OUT, held_out_pool
from lib.phantom.camera import DOMAINS
from lib.phantom.lesions import USUAL
from lib.training.seeds import torch_generator

SEEN, UNSEEN = (1, 2, 3, 4), (5, 6)
GUIDANCE = (1.0, 3.0, 5.0, 7.5)
USUAL_GUIDANCE = 3.0
MEASURES = ("reconstruction", *(f"guidance {scale}" for scale in GUIDANCE), "unseen")
STEPS    = 15           # of DPM-Solver++
_ROMAN   = ("I", "II", "III", "IV", "V", "VI")


def measure(
    folder:   Path,                 # of the saved pipeline
    what:     str,                  # one of MEASURES
    *,
    per_cell: int = 9,              # pictures of each diagnosis × type
    rebuilt:  int = 3_000,          # held-out drawn pictures that the autoencoder rebuilds
) -> dict:
    """"reconstruction": a row per type; "guidance 3.0": agreement on types I–IV; "unseen": the same on V and VI."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    oracle = Oracle.load()
    if what == "reconstruction":
        return _reconstruction(pipeline.vae, oracle, rebuilt) | {"images": rebuilt}
    if what == "unseen":
        return _agreement(pipeline, oracle, UNSEEN, USUAL_GUIDANCE, per_cell)
    return _agreement(pipeline, oracle, SEEN, float(what.removeprefix("guidance ")), per_cell)


def draw_cells(
    pipeline: StableDiffusionPipeline,
    types:    Sequence[int],                # Fitzpatrick types
    *,
    guidance: float,
    per_cell: int,                          # of each diagnosis × type; domains take turns
    steps:    int = STEPS,
    batch:    int = 36,
) -> tuple[np.ndarray, list[dict]]:
    """Pictures, uint8 [N, 64, 64, 3], from the plain start, and the scenes that were asked for."""
    scenes = [
        {"diagnosis": diagnosis, "tone": tone, "domain": list(DOMAINS)[number % len(DOMAINS)], "number": number}
        for diagnosis, tone, number in product(USUAL, types, range(per_cell))
    ]
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pictures = []
    for start in range(0, len(scenes), batch):
        some = scenes[start:start + batch]
        latents = torch.cat([
            torch.randn(1, 4, 32, 32, generator=torch_generator(SEED_HELD_OUT, *map(str, scene.values()))) for scene in some
        ])
        pictures.append(pipeline(
            [caption(scene) for scene in some], latents=latents, guidance_scale=guidance, num_inference_steps=steps, output_type="np",
        ).images)
    return (np.concatenate(pictures) * 255).round().astype(np.uint8), scenes


def _reconstruction(vae, oracle: Oracle, images: int) -> dict:
    pool = held_out_pool()
    drawn, scenes = np.asarray(pool.pixels[:images]), pool.scenes[:images]
    rebuilt = autoencoder.decode(vae, autoencoder.encode(vae, drawn)[0])
    error = np.square(rebuilt.astype(np.float32) - drawn).mean(axis=(1, 2, 3))
    before, after = oracle.judge(drawn), oracle.judge(rebuilt)
    table = {}
    for band, types in {**{name: (number,) for number, name in enumerate(_ROMAN, 1)}, "I–IV": SEEN, "V–VI": UNSEEN}.items():
        chosen = scenes["tone"].isin(types).to_numpy()
        row = {"psnr": float((10 * np.log10(255**2 / error[chosen])).mean())}
        for what in ("diagnosis", "tone"):
            right = scenes[what].to_numpy()[chosen]
            row[f"{what}_drawn"] = float((getattr(before, what)[chosen] == right).mean())
            row[f"{what}_rebuilt"] = float((getattr(after, what)[chosen] == right).mean())
        table[band] = {key: round(value, 4) for key, value in row.items()}
    return table


def _agreement(pipeline: StableDiffusionPipeline, oracle: Oracle, types: Sequence[int], guidance: float, per_cell: int) -> dict:
    pictures, scenes = draw_cells(pipeline, types, guidance=guidance, per_cell=per_cell)
    said, best = oracle.judge(pictures), ceiling()
    tone = np.array([scene["tone"] for scene in scenes])
    right = {
        "diagnosis": said.diagnosis == np.array([scene["diagnosis"] for scene in scenes]),
        "tone": said.tone == tone,
        "tone_within_one": np.abs(said.tone - tone) <= 1,
    }
    row = {"images": len(scenes)}
    for what, values in right.items():
        row[what] = round(float(values.mean()), 4)
        row[f"{what}_ceiling"] = round(float(np.mean([best[what]["by_tone"][str(number)] for number in types])), 4)
    return row | {
        "diagnosis_by_diagnosis": {name: round(float(values.mean()), 4) for name, values in _by(right["diagnosis"], scenes, "diagnosis")},
        "diagnosis_by_tone": {str(name): round(float(values.mean()), 4) for name, values in _by(right["diagnosis"], scenes, "tone")},
        "said_tone_by_tone": {str(name): round(float(values.mean()), 2) for name, values in _by(said.tone, scenes, "tone")},
    }


def _by(values: np.ndarray, scenes: list[dict], key: str) -> list[tuple]:
    keys = np.array([scene[key] for scene in scenes])
    return [(name.item(), values[keys == name]) for name in np.unique(keys)]


def card(table: Mapping) -> str:
    """The model card, from measured.json: every measure by name, training (steps, minutes, processes), parameters, seeds."""
    agreement = {scale: table[f"guidance {scale}"] for scale in GUIDANCE}
    rebuilt = "\n".join(
        f"| {band} | {row['psnr']:.1f} | {row['diagnosis_drawn']:.3f} | {row['diagnosis_rebuilt']:.3f} | "
        f"{row['diagnosis_rebuilt'] / row['diagnosis_drawn']:.2f} | {row['tone_drawn']:.3f} | {row['tone_rebuilt']:.3f} |"
        for band, row in table["reconstruction"].items() if band != "images"
    )
    drawn = "\n".join(
        f"| {scale} | I–IV | {_shares(row)} |" for scale, row in agreement.items()
    ) + f"\n| {USUAL_GUIDANCE} | V–VI, never seen | {_shares(table['unseen'])} |"
    usual = agreement[USUAL_GUIDANCE]
    by_diagnosis = ", ".join(f"{name.replace('_', ' ')} {share:.2f}" for name, share in usual["diagnosis_by_diagnosis"].items())
    asked = "; ".join(f"{_ROMAN[int(tone) - 1]} → {mean:.1f}" for tone, mean in usual["said_tone_by_tone"].items())
    steps = "\n".join(
        f"| {name} | {row['steps']:,} | {row['minutes']:.0f} | {row['steps'] / row['minutes'] / 60:.1f} | {row['processes']} |"
        for name, row in table["training"].items()
    )
    return f"""# phantom-sd

A Stable Diffusion pipeline in miniature (`StableDiffusionPipeline.from_pretrained("lib/assets/phantom_sd")`), trained on nothing but
drawn skin lesions (`lib/phantom`). It stands where Stable Diffusion 1.5 stands: the same parts and calls, epsilon prediction, the
same noise schedule. **It has seen Fitzpatrick types I–IV only**, in every part: autoencoder, text encoder and UNet, and the network
behind the autoencoder's perceptual loss. Licence: Apache-2.0. It has never seen a photograph and is of no use for any.

* Pictures: 64 px; latents 4 × 32 × 32 of zero mean and unit variance per channel, scaling factor 1. (With 4 × 16 × 16 the
  autoencoder lost colour and texture in the same training time.)
* Parameters: {", ".join(f"{name} {count / 1e6:.2f} M" for name, count in table["parameters"].items())}; stored in half precision.
* Text: prompts like "{caption({"diagnosis": "seborrheic_keratosis", "tone": 3, "domain": "dermoscopic"})}"; each word of a caption is
  one token, anything else falls into bytes. Tone, domain or diagnosis were left out at times, and one caption of ten was empty.
* Pools: 48,000 pictures for the autoencoder, the first 30,000 for the UNet (seed {table["seeds"]["training"]:,}), 16,000 for the
  perceptual loss (seed {table["seeds"]["perceptor"]:,}); the seven diagnoses and the types I–IV in equal shares, difficulty 0.45,
  artefacts on.
* Loss of the UNet: error of the noise, from step 1,024 on weighted by 1/ᾱ (at most 50), because at the noisy end, where the prompt
  decides, the plain error is small and prompts were hardly followed. "unet again": the same once more, from the averaged weights, with
  other batches and a lower rate.
* Half of the autoencoder's pictures were shown at another exposure (gain 0.25–1.2), so that dark pictures survive it: dim pictures
  of light skin, not dark skin.
* Tone drifts with the plain start: the schedule never reaches pure noise, so the network reads the mean colour from the leak instead
  of the prompt, as Stable Diffusion does (Lin et al. 2023, arXiv 2305.08891). The tone-anchored start of `lib.diffusion` is there for that.
* Rebuild: `python -m lib.diffusion.base.build phantom-sd` (from nothing, on CPUs). It comes out alike, not bit-equal: the length of the
  UNet's schedule was changed while the shipped weights were trained.

| trained part | steps | minutes | steps/s | processes |
|---|---|---|---|---|
{steps}

The clock ran on a machine shared with other work. The decoder was trained on alone, for latents that stay as they are.

## What the autoencoder keeps

{table["reconstruction"]["images"]:,} held-out drawn pictures, rebuilt; shares of right answers of the oracle (`phantom_oracle/card.md`).

| types | PSNR (dB) | diagnosis, drawn | rebuilt | ratio | tone, drawn | rebuilt |
|---|---|---|---|---|---|---|
{rebuilt}

## What it draws

{usual["images"]} pictures for each guidance scale, plain start, {STEPS} steps of DPM-Solver++. Shares in which the oracle sees what
was asked; in brackets the oracle's own share on drawn pictures of these types, which is the ceiling.

| guidance | types | diagnosis | tone | tone within one type |
|---|---|---|---|---|
{drawn}

By diagnosis at guidance {USUAL_GUIDANCE}: {by_diagnosis}. Type asked → mean type that the oracle sees: {asked}.
"""


def _shares(row: Mapping) -> str:
    return " | ".join(f"{row[what]:.2f} ({row[f'{what}_ceiling']:.2f})" for what in ("diagnosis", "tone", "tone_within_one"))
