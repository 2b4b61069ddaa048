"""What 05 has in hand to draw with GANs: the generators of 04, what they learnt from, and their part of the quota."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.diffusion.quota import by_class, quota
from lib.diffusion.requests import Requests
from lib.diffusion.words import Words, asked_tones
from lib.gan.crops import lesion_crops
from lib.gan.model import CARD, GanModel, load_generators, read_card
from lib.gan.sampler import BASE, GanSampler
from lib.study import Gan, Generation, Groups, Prompts
from lib.training.runtime import prepare_machine

GENERATORS = "gan"                      # subfolder that 04 keeps its generators in, a folder each


@dataclass(frozen=True)
class GanStudio:
    """Made by `open_gan_studio`; what it offers, `lib.diffusion.studio.Studio` offers as well."""

    models:  dict[str, GanModel]        # label → its generator, in the study's order
    words:   Words                      # without tones: a GAN is asked by class
    tones:   list[str]                  # that the study asks of diffusion; a class's quota is their sum
    rows:    pd.DataFrame               # of `samples`: the training images of these labels
    pixels:  np.ndarray                 # uint8 [N, S, S, 3], in the order of `rows`

    @property
    def hashes(self) -> dict[str, str]:
        """Label → hash of the weights that draw it."""
        return {label: model.sha256 for label, model in self.models.items()}

    def examples(self) -> pd.DataFrame:
        """What it learnt from: row (place in the pixels), label, tone (null: none is asked)."""
        return pd.DataFrame({"row": np.arange(len(self.rows)), "label": self.rows["label"].to_numpy(),
                             "tone": pd.Series([None] * len(self.rows), dtype=object)})

    def requests(
        self,
        generation: Generation,
        groups:     Groups,
        *,
        study:      str,                            # its name
    ) -> Requests:
        """All requests of the labels that have a generator. ValueError where the quota asks for none of them."""
        cells = by_class(quota(generation, self.words.classes, self.tones), self.models)
        if cells.empty:
            raise ValueError(f"generation asks for no image of {', '.join(self.models)}, and only these have a generator; see "
                             "generation.classes and gan.classes")
        return Requests(cells, self.words, {"any": 1.0}, generation, groups, study=f"{study}-gan")       # the sampler names the domain

    def sampler(self, generation: Generation) -> GanSampler:
        """What draws."""
        found = self.rows.groupby("label")["domain"].unique()
        return GanSampler(self.models, generation, domains={label: one[0] if len(one) == 1 else None for label, one in found.items()})

    def provenance(self) -> dict[str, Any]:
        """Columns of the `synthetic` table that name what draws; the hash of the weights is the sampler's."""
        return {"base_model": BASE, "base_revision": None, "token_sha256": None, "adapter_sha256": None}


def open_gan_studio(
    folder:  Path,                      # of 04, which holds GENERATORS
    samples: pd.DataFrame,
    roots:   Mapping[str, Path],        # source → its folder
    study:   Any,                       # what a stage may see of it: diffusion.prompts, labels.names, groups, compute, data.remove_hair
    *,
    cache:   Path,
    threads: int,
) -> GanStudio:
    """Load every generator of 04 and the images that it learnt from. GeneratorError, DataError, ValueError."""
    names, machine = study.labels.names, prepare_machine(study.compute)
    models = load_generators(folder / GENERATORS, machine.device)
    card = read_card(next((folder / GENERATORS).glob(f"*/{CARD}")).parent)
    crops = lesion_crops(samples, roots, Gan.model_validate(card["config"]["options"]), names, split="train", cache=cache,
                         remove_hair=study.data.remove_hair, threads=threads)
    ordered = {label: models[label] for label in names if label in models}
    return GanStudio(ordered, Words(Prompts(by="none"), names, study.groups), asked_tones(study), crops.rows, crops.pixels)
