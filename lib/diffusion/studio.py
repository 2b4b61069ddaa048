"""What notebooks that learn or draw have in hand: the base model, the study's images at its size, and what was learnt before."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accelerate import Accelerator
from diffusers import StableDiffusionPipeline

from lib.data.pixels import load_pixels
from lib.diffusion.adapters import Loaded, adapter_hash, load_lora
from lib.diffusion.anchor import Anchors, measure_anchors
from lib.diffusion.examples import training_examples
from lib.diffusion.hub import Identity, cast, identify, load_pipeline, native_size
from lib.diffusion.image_prompt import attach_ip_adapter
from lib.diffusion.latents import Latents, encode
from lib.diffusion.quota import domain_shares, quota
from lib.diffusion.requests import Requests
from lib.diffusion.sampler import DiffusionSampler
from lib.diffusion.tokens import load_tokens, tokens_hash
from lib.diffusion.words import Cell, Words, cells_of
from lib.study import Generation, Groups, fingerprint
from lib.training.runtime import DTYPES, prepare_machine

TOKENS, ADAPTER = "tokens", "lora"          # subfolders that 02 and 03 keep their models in
_TOLD = ["sha256", "split", "dataset", "domain", "label", "tone", "group"]     # columns that decide what is learnt from which image


@dataclass
class Studio:
    """Made by `open_studio`; loading tokens or an adapter changes `pipeline`."""

    pipeline:    StableDiffusionPipeline
    base:        Identity
    accelerator: Accelerator
    words:       Words
    samples:     pd.DataFrame
    pixels:      np.ndarray             # uint8 [N, size, size, 3], in the order of `samples`
    cache:       Path
    mark:        str                    # a hash of the base, and of the images as the model sees them with what is said about them
    flips:        bool          = False                             # training images are also learnt from mirrored and turned
    tokens:       list[str]     = field(default_factory=list)       # learnt tokens that are in the pipeline
    token_sha256: str | None    = None
    adapter:      Loaded | None = None                              # what is in the UNet
    adapter_sha256: str | None  = None

    @property
    def size(self) -> int:
        """Pixels per side of the images that are learnt from and drawn."""
        return self.pixels.shape[1]

    def examples(self, sources: Collection[str] = (), split: str = "train") -> pd.DataFrame:
        """See `training_examples`."""
        return training_examples(self.samples, self.words, sources=sources, split=split)

    @cached_property
    def anchors(self) -> Anchors:
        """Skin colours of all training images."""
        return measure_anchors(self.pixels, self.examples())

    def latents(self, examples: pd.DataFrame, **options: Any) -> Latents:
        """Of the examples, in their order; encoded once and kept."""
        return encode(self.pipeline.vae, self.pixels, examples["row"].to_numpy(), flips=self.flips, cache=self.cache, **options)

    @cached_property
    def pictures(self) -> dict[str, np.ndarray]:
        """Image id → pixels of every training image, for image prompts; views, so nothing is read before it is looked at."""
        rows = self.examples()["row"]
        return {image_id: self.pixels[row] for image_id, row in zip(self.samples["image_id"].iloc[rows], rows, strict=True)}

    def references(self) -> dict[Cell, list[str]]:
        """Training images of each cell, for image prompts."""
        examples = self.examples()
        found: dict[Cell, list[str]] = {}
        for cell, row in zip(cells_of(examples), examples["row"], strict=True):
            found.setdefault(cell, []).append(self.samples["image_id"].iloc[row])
        return found

    def sampler(self, generation: Generation) -> DiffusionSampler:
        """What draws, with an IP-Adapter in the pipeline where the study asks for one, and weights in the precision of the study.

        From then on the pipeline is for drawing: half precision has lost digits that training would need.
        """
        if generation.image_prompt.mode == "ip_adapter":
            attach_ip_adapter(self.pipeline, generation)
        cast(self.pipeline, DTYPES[self.accelerator.mixed_precision])
        pictures = None if generation.image_prompt.mode == "none" else self.pictures
        return DiffusionSampler(self.pipeline, generation, anchors=self.anchors, pictures=pictures, size=self.size)

    def requests(
        self,
        generation: Generation,
        groups:     Groups,
        *,
        study:      str,                # its name
    ) -> Requests:
        """All that the quota asks for, in the words and with the tokens that there are. ValueError as of `quota` and `domain_shares`."""
        cells = quota(generation, self.words.classes, self.words.tones)
        domains = domain_shares(generation, self.examples()["domain"], [*self.samples["domain"].unique(), *self.words.prompts.domains])
        return Requests(cells, self.words, domains, generation, groups, study=study, tokens=self.tokens, references=self.references())

    @property
    def hashes(self) -> dict[str, str | None]:
        """What decides the images beside their requests: base, tokens and adapter, each by the hash of its files."""
        return {"base": self.base.sha256, "tokens": self.token_sha256, "adapter": self.adapter_sha256}

    def provenance(self) -> dict[str, Any]:
        """Columns of the `synthetic` table that name what draws."""
        return {"base_model": self.base.model, "base_revision": self.base.revision, "base_sha256": self.base.sha256,
                "token_sha256": self.token_sha256, "adapter_sha256": self.adapter_sha256}

    def take_tokens(self, folder: Path | None) -> list[str]:
        """Put the tokens that 02 (or 03, refined) left in `folder` into the pipeline; none where there is no folder."""
        if folder is not None and (folder / TOKENS).is_dir():
            self.tokens = load_tokens(self.pipeline, folder / TOKENS)
            self.token_sha256 = tokens_hash(folder / TOKENS)
        return self.tokens

    def take_adapter(self, folder: Path | None, *, scale: float = 1.0) -> Loaded | None:
        """Put the adapter that 03 left in `folder` into the UNet, checked to be at work; None where there is no folder."""
        if folder is not None:
            self.adapter = load_lora(self.pipeline, folder / ADAPTER, scale=scale)
            self.adapter_sha256 = adapter_hash(folder / ADAPTER)
        return self.adapter


def open_studio(
    samples: pd.DataFrame,              # the samples table
    roots:   Mapping[str, Path],        # source → its folder
    study:   Any,                       # the study, or what a stage may see of it: diffusion, labels.names, groups, compute, data
    *,
    cache:   Path,
    threads: int,
) -> Studio:
    """Load the base model and the images at `diffusion.image_size` (default: the base's own size). ModelError, DataError, ValueError."""
    diffusion, data = study.diffusion, study.data
    if diffusion.prompts.by == "type" and samples.loc[samples["split"] == "train", "tone"].isna().all():
        raise ValueError("diffusion.prompts.by is type, and no training image has a Fitzpatrick type; set it to group, or to none")
    accelerator = prepare_machine(study.compute)
    pipeline = load_pipeline(diffusion.base, device=accelerator.device)
    base, size = identify(diffusion.base), diffusion.image_size or native_size(pipeline)
    pixels = load_pixels(samples, roots, size, data.crop, cache, remove_hair=data.remove_hair, threads=threads)
    mark = fingerprint([base.sha256, size, data.crop, data.remove_hair, diffusion.flips, samples[_TOLD].to_csv(index=False),
                        diffusion.prompts.model_dump(mode="json"), study.labels.names, study.groups.model_dump(mode="json")])
    words = Words(diffusion.prompts, study.labels.names, study.groups)
    return Studio(pipeline, base, accelerator, words, samples, pixels, cache, mark, diffusion.flips)


def keep_tokens(
    source: Path | None,                # folder of 02, or none where the study has no tokens
    folder: Path,                       # of 03
) -> None:
    """Bring 03's tokens in line with 02's: later stages read both models from one place."""
    shutil.rmtree(folder / TOKENS, ignore_errors=True)
    if source is not None:
        shutil.copytree(source / TOKENS, folder / TOKENS)
