"""phantom-cnn: the weights of small_cnn after the very pictures that phantom-sd learnt from: `python -m lib.classify.phantom_cnn`.

A generator that helps may do so by what its base model had seen before the study began. A classifier that starts from these weights (arm
`phantom_start`) had the same pictures and was told the same of them (diagnosis, skin type, camera), so it shows what that knowledge is
worth without a generator. Like phantom-sd it has never seen types V and VI.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from lib.classify.models import ImageClassifier, SmallCnn
from lib.diffusion.base.batches import pick, turned
from lib.diffusion.base.loop import Outcome, train
from lib.diffusion.base.phantom_sd import training_pool
from lib.diffusion.base.pool import SEED_SD, Pool, held_out_pool
from lib.files import write_atomically
from lib.phantom.camera import DOMAINS
from lib.phantom.lesions import USUAL
from lib.phantom.tone import TYPES
from lib.pretrained import ASSETS
from lib.process import cores
from lib.training.checkpoints import delete_checkpoints
from lib.training.seeds import derive_seed, seeded, torch_generator

FOLDER   = ASSETS["phantom-cnn"]
STATE    = Path("outputs/.state/phantom-cnn")       # checkpoints
_ANSWERS = {"diagnosis": USUAL, "tone": TYPES, "domain": tuple(DOMAINS)}        # what the captions of phantom-sd tell
_STEPS   = 3_000                                    # 4 epochs
_BATCH   = 64


def build(
    folder:  Path = FOLDER,
    *,
    state:   Path = STATE,
    workers: int  = 2,              # processes that draw
) -> dict[str, float]:
    """Draw, train, measure and save into `folder`; returns what was measured. Run again, it goes on where it stopped."""
    model, outcome = fit(training_pool(workers), steps=_STEPS, batch=_BATCH, state=state)
    found = measure(model, held_out_pool(workers=workers))
    save(model, folder)
    text = _card(outcome, found)
    write_atomically(folder / "card.md", lambda temporary: temporary.write_text(text, encoding="utf-8"))
    delete_checkpoints(state)
    return found


def fit(
    pool:  Pool,                    # of phantom-sd
    *,
    steps: int,
    batch: int,
    state: Path,                    # checkpoints
    seed:  int = SEED_SD,
) -> tuple[ImageClassifier, Outcome]:
    """small_cnn with an answer for each kind of word in a caption, trained on turned and mirrored pictures."""
    with seeded(seed, "weights", "phantom-cnn"):
        network = SmallCnn(sum(map(len, _ANSWERS.values())))
    model = ImageClassifier(network, 1).to(memory_format=torch.channels_last)
    right = [torch.tensor([list(known).index(value) for value in pool.scenes[column]]) for column, known in _ANSWERS.items()]

    def loss_of(step: int) -> torch.Tensor:
        rows = pick(len(pool), batch, step, seed=seed)
        said = _answers(model, turned(_colours(pool.pixels[rows]), torch_generator(seed, "turns", step)))
        return sum(functional.cross_entropy(logits, truth[rows]) for logits, truth in zip(said, right, strict=True))

    fingerprint = str(derive_seed(seed, "phantom-cnn", steps, batch, len(pool)))
    outcome = train(model, loss_of, steps=steps, folder=state, fingerprint=fingerprint, learning_rate=2e-3, weight_decay=0.02)
    return model.eval(), outcome


@torch.inference_mode()
def measure(model: ImageClassifier, pool: Pool) -> dict[str, float]:
    """Share of pictures whose diagnosis it names, by type of skin ("1" … "6") and over "all"."""
    said = [_answers(model, _colours(pool.pixels[start:start + 256]))[0].argmax(1) for start in range(0, len(pool), 256)]
    hit = pd.Series(np.array(USUAL)[torch.cat(said).numpy()] == pool.scenes["diagnosis"].to_numpy())
    by_type = hit.groupby(pool.scenes["tone"].to_numpy()).mean()
    return {"all": float(hit.mean())} | {str(tone): float(share) for tone, share in by_type.items()}


def save(model: ImageClassifier, folder: Path) -> None:
    """All but the last layer, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value.detach().half() if value.is_floating_point() else value for name, value in _body(model.network).items()}
    kept = {name: value.contiguous() for name, value in kept.items()}
    write_atomically(folder / "model.safetensors", lambda temporary: save_file(kept, temporary, metadata={"format": "pt"}))


def _body(network: SmallCnn) -> dict[str, torch.Tensor]:
    last = f"{len(network) - 1}."
    return {name: value for name, value in network.state_dict().items() if not name.startswith(last)}


def _answers(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return model(images).split([len(known) for known in _ANSWERS.values()], dim=1)


def _colours(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [N, S, S, 3] → float [N, 3, S, S] in 0–1."""
    return torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2) / 255


def _card(outcome: Outcome, found: dict[str, float]) -> str:
    shares = " | ".join(f"{share:.3f}" for share in found.values())
    return f"""# phantom-cnn

The weights of `small_cnn` (`lib/classify/models.py`, all but its last layer) after the pictures that phantom-sd learnt from: a control.
The arm `phantom_start` starts from them, and so shows what the base model's pictures are worth to a classifier without a generator.
Licence: Apache-2.0. Not for photographs of people: it has never seen one.

* Training: the 48,000 pictures of phantom-sd (types I to IV, seed {SEED_SD:,}), turned and mirrored; diagnosis, skin type and camera, as
  its captions tell them; {outcome.steps:,} steps of {_BATCH} (each picture {outcome.steps * _BATCH / 48_000:.1f} times); averaged weights,
  fp16 safetensors.
* Rebuild: `python -m lib.classify.phantom_cnn`.

Share of 6,000 held-out drawn pictures whose diagnosis it names (an oracle with more of everything names 0.70), by type of skin:

| {" | ".join("all" if name == "all" else f"type {name}" for name in found)} |
|{"---|" * len(found)}
| {shares} |
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(prog="python -m lib.classify.phantom_cnn", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=min(3, cores()), help="CPU threads to train with (default: %(default)s)")
    given = parser.parse_args(arguments)
    if given.threads < 1:
        parser.error("--threads: at least 1")
    torch.set_num_threads(given.threads)
    build(workers=given.threads)


if __name__ == "__main__":
    main()
