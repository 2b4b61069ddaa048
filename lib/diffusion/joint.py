"""Joint refinement: learnt tokens and the adapter train on together, through text encoder and UNet (phase 3 of notebook 03)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from diffusers import StableDiffusionPipeline

from lib.diffusion.adapters import add_lora, lora_weights, set_weights
from lib.diffusion.class_labels import add_class_labels
from lib.diffusion.fit import Progress
from lib.diffusion.latents import Latents, embed_text, prompt_ids
from lib.diffusion.lora import Embed, LearntLora, LoraStep, learn, mark, rows_of
from lib.diffusion.losses import to_device
from lib.diffusion.vocabulary import TrainedRows
from lib.study.generate import Lora, Resampling
from lib.training.errors import TrainingDivergedError
from lib.training.schedules import cosine_with_warmup


@dataclass(frozen=True)
class Refined:
    """Tokens and adapter after the refinement, or as they were before it; kept by `save_tokens` and `save_lora`."""

    embeddings: dict[str, torch.Tensor]     # token → [vectors, D], float32 on the CPU
    lora:       LearntLora                  # its history is that of the refinement, from step 0 on where the start has a score
    before:     float | None                # the score of `learnt`; None where it has none

    @property
    def kept(self) -> bool:
        """Whether the refinement counts: its score is better than that of the start, or none was measured."""
        return self.lora.best_step > 0


def refine(
    pipeline: StableDiffusionPipeline,  # frozen, with the learnt tokens; changed
    learnt:   LearntLora,
    tokens:   Collection[str],          # those that go on learning
    examples: pd.DataFrame,             # these three as for train_lora
    latents:  Latents,
    prompts:  Sequence[str],
    options:  Lora,                     # joint_steps ≥ 1 and joint_learning_rate hold; dropout, weights and batches as for train_lora
    *,
    resampling:  Resampling,
    folder:      Path,                                          # for checkpoints; not the one that train_lora has
    fingerprint: str,
    accelerator: Accelerator,
    embed:       Embed | None                         = None,
    validate:    Callable[[int], float | None] | None = None,   # tokens and adapter are as they are after so many steps
    progress:    Progress | None                      = None,
    say:         Callable[[str], None] | None         = None,
) -> Refined:
    """Go on with both at once, half a cosine long; the best state is left in the pipeline, which may be the one before the first step.

    Starts from `learnt` and from the tokens in the pipeline, whatever adapter is in it; with `validate` the score that `learnt` was kept
    for, by the same measure, has to be beaten. No other vector of the vocabulary changes.
    Errors: those of `train_lora`; ValueError for a token that the pipeline does not have.
    """
    options = options.model_copy(update={"steps": options.joint_steps, "learning_rate": options.joint_learning_rate, "restarts": 1})
    pipeline.to(accelerator.device)
    adapter = add_lora(pipeline.unet, rank=options.rank, alpha=options.alpha, dropout=options.dropout, targets=options.targets,
                       seed=options.seed)
    set_weights(pipeline.unet, learnt.weights)
    labels = None
    if learnt.class_labels is not None:
        labels = add_class_labels(pipeline.unet, learnt.class_labels.labels, learnt.class_labels.tones)
        labels.load_state_dict(learnt.class_labels.state_dict())
    before = _score_of(learnt) if validate else None
    trained = TrainedRows(pipeline, tokens)
    texts = LiveTexts(pipeline, prompts)
    step = LoraStep(pipeline, examples, latents, texts, options, resampling, purpose="joint", class_labels=labels, embed=embed, say=say)
    rows = {"tokens": trained.rows, **rows_of(labels)}
    try:
        with trained:
            fitted = learn(
                step, adapter, rows, lambda number: cosine_with_warmup(number, steps=options.steps), options=options, folder=folder,
                fingerprint=mark(fingerprint, step, prompts, accelerator, {**adapter, **rows}), accelerator=accelerator,
                validate=validate, before=before, progress=progress, say=say,
            )
    except TrainingDivergedError as error:
        raise TrainingDivergedError(str(error).replace("lora.learning_rate", "lora.joint_learning_rate")) from None
    weights = lora_weights(pipeline.unet) if fitted.best_step else learnt.weights       # the start bit by bit: alpha / rank may round
    return Refined(trained.embeddings(), LearntLora(weights, labels, fitted.history, fitted.best_step, fitted.stopped), before)


def _score_of(learnt: LearntLora) -> float | None:
    """The validation score of the state that was kept."""
    scores = learnt.history.loc[learnt.history["step"] == learnt.best_step, "score"].dropna()
    return float(scores.iloc[0]) if len(scores) else None


class LiveTexts:
    """Text embeddings with gradient, encoded anew in each step, but no prompt twice in a batch."""

    def __init__(self, pipeline: StableDiffusionPipeline, prompts: Sequence[str]):
        different = ["", *sorted(set(prompts) - {""})]
        numbers = {prompt: number for number, prompt in enumerate(different)}
        self._text_encoder, self._device = pipeline.text_encoder, pipeline.unet.device
        self._ids = prompt_ids(pipeline.tokenizer, different)
        self._number = torch.tensor([numbers[prompt] for prompt in prompts])

    def __call__(self, rows: np.ndarray, told: torch.Tensor) -> torch.Tensor:
        """Embeddings [B, L, D] of the images' prompts; of the empty prompt where `told` (bool [B], CPU) is false."""
        present, place = torch.unique(self._number[rows] * told, return_inverse=True)
        return embed_text(self._text_encoder, to_device(self._ids[present], self._device))[to_device(place, self._device)]
