"""Draws blocks of images for `lib.classify.stream`: `python -m lib.classify.stream_worker SETTING.json`.

It has what 05 has (base model, tokens and adapter of 02 and 03, or the generators of 04) and draws as 05 draws: requests, cheap checks,
journal and table are the same. The trainer's process does not import this module: what draws may be large.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from lib.classify.stream_cells import generation_of
from lib.classify.stream_process import serve
from lib.diffusion.generate import Sampler, basic_checks, generate
from lib.diffusion.requests import Requests
from lib.files import write_atomically
from lib.study import Compute, Diffusion, Generation, Groups


class Drawer:
    """Draws asks with an open studio; the sampler is made once, and each ask has requests of its own."""

    def __init__(
        self,
        study:    SimpleNamespace,              # name, generation, groups
        tones:    list[str],                    # that the study asks for
        requests: Callable[..., Requests],      # of the studio
        sampler:  Sampler,
        columns:  Mapping[str, Any],            # of the `synthetic` table: the studio's provenance
    ):
        self.study, self.tones, self.requests, self.sampler, self.columns = study, tones, requests, sampler, columns

    def __call__(self, ask: Mapping[str, Any]) -> None:
        """Draw what is not drawn yet, and leave the `synthetic` table of all of it at `table`."""
        generation = generation_of(self.study.generation, [tuple(one) for one in ask["cells"]], self.tones, ask["seed"])
        drawn = generate(
            self.requests(generation, self.study.groups, study=f"{self.study.name}-{ask['name']}"), self.sampler,
            folder=Path(ask["folder"]), accept=basic_checks(generation), attempts=generation.attempts, provenance=self.columns,
            journal=Path(ask["journal"]), fingerprint=ask["mark"],
        )
        table = drawn.table()                   # checked where a chunk writes all of its blocks
        table.attrs = {"mark": ask["mark"], "cells": ask["cells"]}
        write_atomically(Path(ask["table"]), table.to_parquet)


def open_drawer(setting: Mapping[str, Any]) -> Drawer:
    """Load what `lib.classify.stream_chunk.open_streams` wrote down."""
    told = setting["study"]
    study = SimpleNamespace(
        name=told["name"], labels=SimpleNamespace(names=told["names"]), data=SimpleNamespace(**told["data"]),
        diffusion=told["diffusion"] and Diffusion.model_validate(told["diffusion"]), groups=Groups.model_validate(told["groups"]),
        compute=Compute.model_validate(told["compute"]), generation=Generation.model_validate(told["generation"]),
    )
    found = {"samples": pd.read_parquet(setting["samples"]), "study": study, "cache": Path(setting["cache"]),
             "roots": {name: Path(root) for name, root in setting["roots"].items()}, "threads": study.compute.threads}
    models = {name: folder and Path(folder) for name, folder in setting["models"].items()}
    if setting["generator"] == "gan":
        from lib.gan.studio import open_gan_studio

        studio = open_gan_studio(models["gan"], **found)
        return Drawer(study, studio.tones, studio.requests, studio.sampler(study.generation), studio.provenance())
    from lib.diffusion.studio import open_studio

    studio = open_studio(**found)
    studio.take_tokens(models["tokens"])
    studio.take_adapter(models["adapter"], scale=study.generation.lora_scale)
    return Drawer(study, studio.words.tones, studio.requests, studio.sampler(study.generation), studio.provenance())


if __name__ == "__main__":
    serve(lambda: open_drawer(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
