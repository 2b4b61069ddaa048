"""Draws blocks without a model, for tests of streams; as a program (with `draw` or `fail`) it is what a worker process runs."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from lib.classify.stream_process import Draw, serve
from lib.study import Generation, Groups, Prompts

CLASSES, TONES = ["melanoma", "nevus"], ["1", "5", "6"]
GENERATION = Generation(images=60, over_generation=1, batch_size=4, tones={"1": 0.2, "5": 0.4, "6": 0.4}, brightness=(0.1, 0.9), attempts=2,
                        seed=3)


class Stub:
    """An 8 px image from the request's seed and slot; about one in eight is too dark. `stop_after` calls it is interrupted."""

    batch_size = GENERATION.batch_size

    def __init__(self, stop_after: int | None = None, dark: bool = False):
        self.drawn: list[tuple[str, int]] = []
        self.calls, self.stop_after, self.dark = 0, stop_after, dark

    def __call__(self, requests):
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        self.drawn += [(request.image_id, request.attempt) for request in requests]
        return [self._image(request) for request in requests]

    def _image(self, request) -> np.ndarray:
        image = np.random.default_rng([request.seed, request.slot]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        return image // 100 if self.dark or request.seed % 8 == 0 else image

    def describe(self) -> dict:
        return {"generator": "diffusion", "class_labels": False, "width": 8, "height": 8, "batch_size": self.batch_size, "threads": 1,
                "device": "cpu", "dtype": "float32", "versions": json.dumps({"stub": "1"})}

    def deciding(self) -> None:
        return None

    def trace(self, request) -> dict:
        return {"start": "plain", "anchor_colour": None}


def stub_drawer(sampler: Stub | None = None) -> Draw:
    """What `open_drawer` gives, without a model. A process that only fails needs none of this."""
    from lib.classify.stream_worker import Drawer
    from lib.diffusion.quota import quota
    from lib.diffusion.requests import Requests
    from lib.diffusion.words import Words

    study = SimpleNamespace(name="demo", generation=GENERATION, groups=Groups())

    def requests(generation: Generation, groups: Groups, *, study: str) -> Any:
        words = Words(Prompts(), CLASSES, groups)
        return Requests(quota(generation, CLASSES, TONES), words, {"clinical": 1.0}, generation, groups, study=study)

    return Drawer(study, TONES, requests, sampler or Stub(), {"base_model": "stub", "base_sha256": "0" * 64})


def _failing(ask: Mapping[str, Any]) -> None:
    """The first block fails, and with the next one the process ends."""
    if ask["name"].endswith("000"):
        raise ValueError("generation.steps is too small")
    print("the last thing that it said", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve({"draw": stub_drawer, "fail": lambda: _failing}[sys.argv[1]])
