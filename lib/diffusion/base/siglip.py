"""phantom-siglip: a small two-tower model of pictures and captions, trained on drawn lesions with the loss of SigLIP.

It stands where SigLIP stands and loads with the same calls of `transformers`. Unlike phantom-sd it has seen all six skin types.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional
from transformers import SiglipModel

from lib.diffusion.base import captions
from lib.diffusion.base.batches import pick, to_network, turned
from lib.diffusion.base.loop import Outcome, train
from lib.diffusion.base.oracle import ceiling
from lib.diffusion.base.pool import SEED_SIGLIP, Pool, draw_pool, held_out_pool
from lib.diffusion.base.siglip_model import SIZE, image_vectors, new_model, new_tokenizer, save
from lib.diffusion.base.siglip_report import card, measure
from lib.files import write_atomically
from lib.phantom.camera import DOMAINS
from lib.phantom.lesions import DIAGNOSES
from lib.training.checkpoints import delete_checkpoints
from lib.training.seeds import derive_seed, numpy_generator, torch_generator

FOLDER  = Path(__file__).parents[2] / "assets" / "phantom_siglip"
_SEED   = SEED_SIGLIP
_IMAGES = 60_000
_EASY   = 12_000        # textbook pictures of the first steps; on the others alone it sees no diagnosis for a very long time
_START  = 600           # steps on them
_PROBE  = 6_000         # pictures for the linear probe
_BATCH  = 64
_STEPS  = 9_000

# What a training caption tells and how often: diagnosis, tone, domain.
_TOLD   = ((1, 1, 1), (1, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 0), (0, 0, 1))
_SHARE  = (0.25, 0.30, 0.15, 0.10, 0.12, 0.08)
_BARE   = 0.3           # of the captions with the diagnosis alone, how many are nothing but its name
_UNTOLD = -1


def build(
    folder:  Path         = FOLDER,
    *,
    state:   Path         = Path("outputs/.state/phantom-siglip"),      # checkpoints
    minutes: float | None = None,                                       # of training; None: all steps
    workers: int          = 2,                                          # processes that draw
) -> dict:
    """Draw, train, measure and save phantom-siglip into `folder`; returns what was measured. Run again, it goes on where it stopped."""
    pool = draw_pool("phantom-siglip", _IMAGES, seed=_SEED, size=SIZE, workers=workers)
    easy = draw_pool("siglip-easy", _EASY, seed=_SEED, size=SIZE, workers=workers, difficulty=0.0)
    probe = draw_pool("siglip-probe", _PROBE, seed=_SEED, size=SIZE, workers=workers)
    model, outcome = fit(pool, easy, start=_START, steps=_STEPS, batch=_BATCH, state=state, seed=_SEED, minutes=minutes)
    table = measure(model, new_tokenizer(), probe, held_out_pool(size=SIZE, workers=workers), ceiling())
    save(model, folder)
    text = card(table, _facts(model, outcome), ceiling())
    write_atomically(folder / "card.md", lambda temporary: temporary.write_text(text, encoding="utf-8"))
    delete_checkpoints(state)
    return table


def fit(
    pool:    Pool,
    easy:    Pool,
    *,
    start:   int,                   # steps on the easy pool, before those on the other
    steps:   int,                   # of both
    batch:   int,
    state:   Path,                  # checkpoints
    seed:    int,
    minutes: float | None = None,
) -> tuple[SiglipModel, Outcome]:
    """A model trained on the pool with the sigmoid loss over all pairs of a batch: a caption belongs to every picture of which it is true.

    So captions that say the same, or less, are positives of each other's pictures, not false negatives.
    """
    tokenizer = new_tokenizer()
    model = new_model(len(tokenizer), seed=seed)
    known = [(facts_of(source.scenes), source.scenes[["diagnosis", "tone", "domain"]].to_dict("records")) for source in (easy, pool)]

    def loss_of(step: int) -> torch.Tensor:
        source, facts, scenes = (easy, *known[0]) if step < start else (pool, *known[1])
        rows = pick(len(source), batch, step, seed=seed)
        rng = numpy_generator(seed, "captions", step)
        told = rng.choice(len(_TOLD), size=batch, p=_SHARE)
        texts = [_caption(scenes[row], _TOLD[kind], bare) for row, kind, bare in zip(rows, told, rng.random(batch) < _BARE, strict=True)]
        padding = "max_length" if step % 2 else "longest"       # so both ways of filling a caption work
        tokens = tokenizer(texts, padding=padding, return_tensors="pt")["input_ids"]
        pixels = turned(to_network(source.pixels[rows]), torch_generator(seed, "turns", step))
        in_part = step >= start and step % 3
        pictures = image_vectors(model, pixels, torch_generator(seed, "patches", step) if in_part else None)
        words = functional.normalize(model.get_text_features(tokens).pooler_output, dim=1)
        logits = pictures @ words.T * model.logit_scale.exp() + model.logit_bias
        said = np.where(np.array(_TOLD)[told] == 1, facts[rows], _UNTOLD)
        return pair_loss(logits, torch.from_numpy(true_of(facts[rows], said)))

    fingerprint = str(derive_seed(seed, start, steps, batch, len(easy), len(pool)))
    outcome = train(
        model, loss_of, steps=steps, folder=state, fingerprint=fingerprint, learning_rate=1e-3, weight_decay=0.05, minutes=minutes,
    )
    return model.eval(), outcome


def facts_of(scenes: pd.DataFrame) -> np.ndarray:
    """int [N, 3]: diagnosis, tone and domain of each picture as numbers."""
    diagnosis = scenes["diagnosis"].map(list(DIAGNOSES).index)
    domain = scenes["domain"].map(list(DOMAINS).index)
    return np.stack([diagnosis, scenes["tone"], domain], axis=1).astype(np.int64)


def true_of(
    facts: np.ndarray,              # int [N, 3], see facts_of
    said:  np.ndarray,              # int [M, 3]: what each caption says, −1 for what it does not tell
) -> np.ndarray:
    """bool [N, M]: which captions are true of which pictures."""
    return ((said[None] == _UNTOLD) | (said[None] == facts[:, None])).all(axis=2)


def pair_loss(
    logits: torch.Tensor,           # [N, M] pictures × captions
    true:   torch.Tensor,           # bool [N, M]
) -> torch.Tensor:
    """Sigmoid loss (Zhai et al. 2023, eq. 1), several positives allowed: −Σ log σ(±logit) over captions, mean over pictures."""
    signs = true.to(logits.dtype) * 2 - 1
    return -functional.logsigmoid(signs * logits).sum(dim=1).mean()


def _caption(scene: dict, told: tuple[int, int, int], bare: bool) -> str:
    if bare and told == (1, 0, 0):
        return captions.DIAGNOSIS_WORDS[scene["diagnosis"]]
    diagnosis, tone, domain = map(bool, told)
    return captions.caption(scene, diagnosis=diagnosis, tone=tone, domain=domain)


def _facts(model: SiglipModel, outcome: Outcome) -> dict[str, str]:
    sizes = [sum(parameter.numel() for parameter in tower.parameters()) / 1e6 for tower in (model.vision_model, model.text_model)]
    return {
        "Model": f"pictures of {SIZE} pixels in patches of 8 ({sizes[0]:.2f} million parameters), captions of up to 24 tokens "
                 f"({sizes[1]:.2f} million), vectors of 192 numbers, fp16 safetensors",
        "Training": f"{_IMAGES:,} pictures of types I to VI, difficulty 0.45, with artefacts, seed {_SEED:,} (the first"
                    f" {_START:,} steps: {_EASY:,} of difficulty 0), turned and mirrored; captions"
                    f" of `lib/diffusion/base/captions.py`, whole and shortened; {outcome.steps:,} steps of {_BATCH} (each picture "
                    f"{(outcome.steps - _START) * _BATCH / _IMAGES:.1f} times), {outcome.minutes:.0f} minutes on a busy CPU; "
                    "averaged weights",
        "Loss": "the sigmoid loss over all pairs of a batch; a caption belongs to every picture of which it is true",
        "Rebuild": f"`python -m lib.diffusion.base.build phantom-siglip` ({_STEPS:,} steps; with `--minutes` the schedule follows the "
                   "clock, as it did here if the steps above are fewer, and the outcome is alike but not the same)",
    }
