"""Textual inversion (Gal et al. 2022, arXiv 2208.01618): a new word per diagnosis × tone; only its vectors train (notebook 02)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from diffusers import StableDiffusionPipeline
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lib.diffusion.fit import Progress, fit, machine_of
from lib.diffusion.hub import file_hash
from lib.diffusion.latents import Latents, embed_text, prompt_ids
from lib.diffusion.losses import NoiseSchedule, denoising_loss, to_device
from lib.diffusion.resample import UNKNOWN, Batches
from lib.diffusion.vocabulary import TrainedRows, add_tokens, check_new, initial_vectors
from lib.diffusion.words import Cell, Words, cells_of, prompts_of, token_name
from lib.files import write_atomically
from lib.names import look_up
from lib.study import fingerprint as digest
from lib.study.generate import Resampling, Tokens
from lib.training.schedules import constant_with_warmup
from lib.training.seeds import derive_seed, torch_generator

_JOINT = "tokens.safetensors"       # all tokens of a folder in one file; beside it one file per token, for other tools


@dataclass(frozen=True)
class LearntTokens:
    """Tokens and how they came about; `save_tokens(learnt.embeddings, folder)` keeps them."""

    embeddings: dict[str, torch.Tensor]     # token → [vectors, D], float32 on the CPU
    norms:      pd.DataFrame                # lengths: token, vector, initial, learnt, and low, median, high: 5, 50, 95 % of the vocabulary
    images:     pd.Series                   # token → training images
    history:    pd.DataFrame                # see lib.diffusion.fit.Fitted
    best_step:  int
    stopped:    str


def plan_tokens(
    examples: pd.DataFrame,                                     # see training_examples
    words:    Words,
    options:  Tokens,
    *,
    say:      Callable[[str], None] | None = None,              # gets a sentence on cells that were asked for and get none
) -> dict[Cell, str]:
    """The cells that get a token, in order, and its name: those that `options` asks for and that have enough training images.

    ValueError for an unknown tone or class in `options`, and where no cell is left.
    """
    for label in options.initialisers:
        look_up("class (diffusion.tokens.initialisers)", label, dict.fromkeys(words.classes))
    for tone in options.cells:
        look_up("tone (diffusion.tokens.cells)", tone, dict.fromkeys([*words.tones, *examples["tone"].dropna(), UNKNOWN]))
    count = pd.Series(cells_of(examples)).value_counts()
    asked = sorted(cell for cell in count.index if not options.cells or (cell.tone or UNKNOWN) in options.cells)
    enough = [cell for cell in asked if count[cell] >= options.minimum_images]
    if not enough:
        raise ValueError(f"diffusion.tokens: no diagnosis × tone among {', '.join(options.cells or ['all'])} has "
                         f"{options.minimum_images} training images; lower minimum_images, or name other cells")
    say = say or logging.getLogger(__name__).warning
    if absent := [tone for tone in options.cells if tone not in {cell.tone or UNKNOWN for cell in asked}]:
        say(f"diffusion.tokens: no training image has tone {', '.join(absent)}, so no token is learnt for it")
    if few := [f"{token_name(cell)} ({count[cell]})" for cell in asked if cell not in enough]:
        say(f"diffusion.tokens: under {options.minimum_images} training images, so no token: {', '.join(few)}")
    return {cell: token_name(cell) for cell in enough}


def train_tokens(
    pipeline: StableDiffusionPipeline,      # frozen; the tokens are added to it
    examples: pd.DataFrame,                 # see training_examples
    latents:  Latents,                      # of those images, in the same order
    words:    Words,
    options:  Tokens,
    *,
    resampling:  Resampling,
    folder:      Path,                                                  # for checkpoints
    fingerprint: str,                                                   # of what is not seen here: the base model and the pixels
    accelerator: Accelerator,
    validate:    Callable[[int], float | None] | None = None,           # steps done → score, lower is better; the tokens are in use then
    progress:    Progress | None                      = None,
    say:         Callable[[str], None] | None         = None,
) -> LearntTokens:
    """Learn a token for every cell that `options` asks for and that has images; the best state is left in the pipeline.

    The gradient goes through UNet and text encoder, whose weights and other vectors stay as they are, bit for bit. AdamW, constant
    learning rate after a linear warm-up. Errors: those of `fit`; ValueError for a token that exists already, for an unknown tone or
    class in `options`, and where no cell is left.
    """
    say = say or logging.getLogger(__name__).warning
    tokens, cells = plan_tokens(examples, words, options, say=say), cells_of(examples)
    check_new(pipeline, dict.fromkeys(tokens.values(), options.vectors))
    pipeline.to(accelerator.device)
    starts = {token: options.initialisers.get(cell.label, words.diagnosis(cell.label)) for cell, token in tokens.items()}
    add_tokens(pipeline, {token: initial_vectors(pipeline, start, options.vectors) for token, start in starts.items()})
    chosen = np.flatnonzero([cell in tokens for cell in cells])
    learnt_from = examples.iloc[chosen].reset_index(drop=True)
    prompts = prompts_of(learnt_from, words, list(tokens.values()))
    mark = digest({
        "options": options.model_dump(mode="json"), "prompts": prompts, "starts": starts, "rows": learnt_from["row"].tolist(),
        "batches": resampling.batches, "groups": learnt_from["group"].astype(object).where(learnt_from["group"].notna(), None).tolist(),
        "machine": machine_of(accelerator, pipeline.unet),
        "given": fingerprint,
    })
    trained = TrainedRows(pipeline, tokens.values())
    initial = trained.rows.detach().norm(dim=1, keepdim=True)

    def retract(_: int) -> None:
        with torch.no_grad():
            trained.rows.mul_(initial / trained.rows.norm(dim=1, keepdim=True))

    if options.gradient_checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
    try:
        with trained:
            fitted = fit(
                TokenStep(pipeline, learnt_from, latents, chosen, prompts, options, resampling, say=say), {"rows": trained.rows},
                torch.optim.AdamW([trained.rows], lr=options.learning_rate, weight_decay=options.weight_decay, fused=True),
                lambda step: constant_with_warmup(step, warmup=options.warmup),
                options=options, section="diffusion.tokens", folder=folder, fingerprint=mark, accelerator=accelerator,
                validate=validate and torch.no_grad()(validate), after_step=retract if options.retraction else None,
                progress=progress, say=say,
            )
            with torch.no_grad():
                trained.rows.copy_(fitted.state["rows"])
    finally:
        pipeline.unet.disable_gradient_checkpointing()
    images = pd.Series([tokens[cell] for cell in cells if cell in tokens]).value_counts().reindex(list(tokens.values()))
    norms = _norms(trained, initial.flatten().cpu(), options.vectors)
    return LearntTokens(trained.embeddings(), norms, images, fitted.history, fitted.best_step, fitted.stopped)


class TokenStep:
    """The loss of one batch, from (optimiser step, micro batch) alone; texts are encoded anew each time, with gradient, but none twice."""

    def __init__(
        self,
        pipeline:   StableDiffusionPipeline,
        examples:   pd.DataFrame,
        latents:    Latents,
        places:     np.ndarray,         # of the examples in `latents`
        prompts:    list[str],          # of the examples
        options:    Tokens,
        resampling: Resampling,
        *,
        say:        Callable[[str], None],
    ):
        self._unet, self._text_encoder, self._device = pipeline.unet, pipeline.text_encoder, pipeline.unet.device
        self._latents, self._places, self._options = latents, places, options
        self._schedule = NoiseSchedule.of(pipeline.scheduler, self._device)
        shown = {*examples["tone"], *examples["group"], UNKNOWN}            # shares of cells without tokens do not matter
        shares = {key: share for key, share in resampling.batches.items() if key in shown}
        self._batches = Batches(examples, shares, batch_size=options.batch_size, accumulation=options.accumulation,
                                seed=derive_seed(options.seed, "tokens"), say=say)
        different, self._prompt = np.unique(prompts, return_inverse=True)
        self._ids = prompt_ids(pipeline.tokenizer, different.tolist())

    def __call__(self, step: int, micro: int) -> torch.Tensor:
        rows, options = self._batches.rows(step, micro), self._options
        generator = torch_generator(options.seed, "tokens", step, micro)
        clean = to_device(self._latents.sample(self._places[rows], generator), self._device)
        texts, of_row = np.unique(self._prompt[rows], return_inverse=True)
        embeddings = embed_text(self._text_encoder, to_device(self._ids[texts], self._device))
        embeddings = embeddings[to_device(torch.from_numpy(of_row), self._device)]
        return denoising_loss(self._unet, self._schedule, clean, embeddings, generator=generator,
                              min_snr_gamma=options.min_snr_gamma, noisy_end=options.noisy_end,
                              offset_noise=options.offset_noise).loss


def _norms(trained: TrainedRows, initial: torch.Tensor, vectors: int) -> pd.DataFrame:
    low, median, high = trained.vocabulary_norms().quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
    names = [(token, vector) for token in trained.embeddings() for vector in range(vectors)]
    table = pd.DataFrame(names, columns=["token", "vector"])
    learnt = trained.rows.detach().norm(dim=1).cpu()
    return table.assign(initial=initial.numpy(), learnt=learnt.numpy(), low=low, median=median, high=high)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

def save_tokens(embeddings: Mapping[str, torch.Tensor], folder: Path) -> str:
    """One `<name>.safetensors` per token, which `pipe.load_textual_inversion(file)` of plain diffusers reads, and all in one; its SHA-256.

    Files of tokens that are not among these are removed.
    """
    kept = {token: rows.detach().float().cpu().contiguous().clone() for token, rows in embeddings.items()}
    files = {f"{token.strip('<>')}.safetensors": {token: rows} for token, rows in kept.items()} | {_JOINT: kept}
    for name, content in files.items():
        write_atomically(folder / name, lambda temporary, content=content: save_file(content, temporary))
    for path in folder.glob("*.safetensors"):
        if path.name not in files:
            path.unlink()
    return tokens_hash(folder)


def load_tokens(pipeline: StableDiffusionPipeline, folder: Path) -> list[str]:
    """Put the saved tokens into a pipeline; their names. ValueError where there are none or they do not fit this pipeline."""
    try:
        embeddings = load_file(folder / _JOINT)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{folder / _JOINT}: no tokens to be read ({error}); run 02_textual_inversion again") from None
    add_tokens(pipeline, dict(sorted(embeddings.items())))
    return sorted(embeddings)


def tokens_hash(folder: Path) -> str:
    """SHA-256 of the file with all tokens."""
    return file_hash(folder / _JOINT)
