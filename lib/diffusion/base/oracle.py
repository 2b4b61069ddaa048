"""The oracle: an independent judge of phantom pictures, trained on plenty of drawn ones, that says which diagnosis and which tone it sees.

It has its own pool and its own network, and nothing that it judges is trained on its opinion.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from lib.diffusion.base.batches import pick, to_network, turned
from lib.diffusion.base.loop import Outcome, train
from lib.diffusion.base.pool import SEED_HELD_OUT, SEED_ORACLE, Pool, draw_pool, held_out_pool
from lib.files import write_atomically, write_json
from lib.phantom.lesions import USUAL
from lib.phantom.tone import MELANOSOME_EDGES, TYPES
from lib.training.checkpoints import delete_checkpoints
from lib.training.seeds import derive_seed, seeded, torch_generator

SIZE      = 64              # pixels per side of what it sees
FOLDER    = Path(__file__).parents[2] / "assets" / "phantom_oracle"
_SEED     = SEED_ORACLE
_IMAGES   = 60_000
_BATCH    = 64
_STEPS    = 7_500           # 8 epochs
_ANSWERS  = ("diagnosis", "tone", "tone_within_one")


@dataclass(frozen=True)
class Judgement:
    """What the oracle sees in N pictures."""

    diagnosis:             np.ndarray       # [N] names out of `lib.phantom.lesions.USUAL`
    diagnosis_probability: np.ndarray       # float32 [N, 7], in the order of USUAL
    tone:                  np.ndarray       # int [N], Fitzpatrick type 1–6
    tone_probability:      np.ndarray       # float32 [N, 6]
    melanin:               np.ndarray       # float32 [N], melanosome fraction of the skin


class _Block(nn.Module):
    """Two convolutions beside the identity (He et al. 2016, arXiv 1512.03385), group norm."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.before, self.between = (nn.GroupNorm(8, width) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(functional.silu(self.before(x)))
        return x + self.second(functional.silu(self.between(h)))


class Network(nn.Module):
    """Pixels [N, 3, 64, 64] in −1…1 → logits of the diagnosis [N, 7], logits of the tone [N, 6], log melanin in units of its spread [N]."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 192)):
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1)]
        for narrow, wide in itertools.pairwise(widths):
            layers += [nn.GroupNorm(8, narrow), nn.SiLU(), nn.Conv2d(narrow, wide, 3, stride=2, padding=1), _Block(wide)]
        self.body = nn.Sequential(*layers, nn.GroupNorm(8, widths[-1]), nn.SiLU())
        self.head = nn.Linear(widths[-1], len(USUAL) + len(TYPES) + 1)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        out = self.head(self.body(pixels).mean(dim=(2, 3))).float()
        return out[:, :len(USUAL)], out[:, len(USUAL):-1], out[:, -1]


class Oracle:
    """A loaded network; `Oracle.load()` gives the shipped one."""

    def __init__(self, network: Network):
        self.network = network.eval()

    @classmethod
    def load(cls, path: Path | None = None) -> Oracle:
        """From a folder with model.safetensors; default: the shipped one. FileNotFoundError says how to make it."""
        file = Path(path or FOLDER) / "model.safetensors"
        if not file.is_file():
            raise FileNotFoundError(f"{file} is not there; `python -m lib.diffusion.base.build phantom-oracle` makes it")
        network = Network()
        network.load_state_dict({name: value.float() for name, value in load_file(file).items()})
        return cls(network)

    @torch.inference_mode()
    def judge(
        self,
        pixels: np.ndarray,         # uint8 [N, 64, 64, 3], sRGB
        *,
        batch:  int = 256,
    ) -> Judgement:
        """Diagnosis, tone and melanin of every picture. ValueError for another shape or type of pixels."""
        if pixels.ndim != 4 or pixels.shape[1:] != (SIZE, SIZE, 3) or pixels.dtype != np.uint8:
            raise ValueError(f"the oracle sees uint8 [N, {SIZE}, {SIZE}, 3], got {pixels.dtype} {list(pixels.shape)}; resize the pictures")
        parts = [self.network(to_network(pixels[start:start + batch])) for start in range(0, len(pixels), batch)]
        if not parts:
            parts = [(torch.empty(0, len(USUAL)), torch.empty(0, len(TYPES)), torch.empty(0))]
        diagnosis, tone, melanin = (torch.cat(column) for column in zip(*parts, strict=True))
        return Judgement(
            diagnosis=np.array(USUAL)[diagnosis.argmax(1).numpy()], diagnosis_probability=diagnosis.softmax(1).numpy(),
            tone=np.array(TYPES)[tone.argmax(1).numpy()], tone_probability=tone.softmax(1).numpy(),
            melanin=from_units(melanin).numpy(),
        )


def ceiling(path: Path | None = None) -> dict:
    """The shipped oracle's own accuracy on held-out drawn pictures (see `measure`): what a perfect generator would reach."""
    return json.loads((Path(path or FOLDER) / "ceiling.json").read_text(encoding="utf-8"))


def measure(oracle: Oracle, pool: Pool) -> dict:
    """Shares of right answers: {"images", "diagnosis", "tone", "tone_within_one", each "all", "by_tone", "by_diagnosis"}."""
    said, scenes = oracle.judge(pool.pixels), pool.scenes
    right = pd.DataFrame({
        "diagnosis":       said.diagnosis == scenes["diagnosis"].to_numpy(),
        "tone":            said.tone == scenes["tone"].to_numpy(),
        "tone_within_one": np.abs(said.tone - scenes["tone"].to_numpy()) <= 1,
    })
    table: dict = {"images": len(pool)}
    for column, values in right.items():
        table[str(column)] = {
            "all":          round(float(values.mean()), 4),
            "by_tone":      _shares(values, scenes["tone"]),
            "by_diagnosis": _shares(values, scenes["diagnosis"]),
        }
    return table


def build(
    folder:  Path          = FOLDER,
    *,
    state:   Path          = Path("outputs/.state/phantom-oracle"),     # checkpoints
    minutes: float | None  = None,                                      # of training; None: all steps
    workers: int           = 2,                                         # processes that draw
) -> dict:
    """Draw, train, measure and save the oracle into `folder`; returns its ceilings. Run again, it goes on where it stopped."""
    pool = draw_pool("phantom-oracle", _IMAGES, seed=_SEED, size=SIZE, workers=workers)
    network, outcome = fit(pool, steps=_STEPS, batch=_BATCH, state=state, seed=_SEED, minutes=minutes)
    table = measure(Oracle(network), held_out_pool(size=SIZE, workers=workers))
    weights = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    write_atomically(folder / "model.safetensors", lambda temporary: save_file(weights, temporary, metadata={"format": "pt"}))
    write_json(folder / "ceiling.json", table)
    write_atomically(folder / "card.md", lambda temporary: temporary.write_text(_card(network, outcome, table), encoding="utf-8"))
    delete_checkpoints(state)
    return table


def fit(
    pool:    Pool,
    *,
    steps:   int,
    batch:   int,
    state:   Path,                  # checkpoints
    seed:    int,
    minutes: float | None = None,
) -> tuple[Network, Outcome]:
    """A network trained on the pool: cross entropy of both answers and the squared error of log melanin; turned and mirrored pictures."""
    with seeded(seed, "weights"):
        network = Network().to(memory_format=torch.channels_last)
    diagnosis = torch.tensor([USUAL.index(name) for name in pool.scenes["diagnosis"]])
    tone = torch.tensor(pool.scenes["tone"].to_numpy()) - 1
    melanin = to_units(torch.tensor(pool.scenes["melanin"].to_numpy(), dtype=torch.float32))

    def loss_of(step: int) -> torch.Tensor:
        rows = pick(len(pool), batch, step, seed=seed)
        pixels = turned(to_network(pool.pixels[rows]), torch_generator(seed, "turns", step))
        said = network(pixels.contiguous(memory_format=torch.channels_last))
        return (
            functional.cross_entropy(said[0], diagnosis[rows]) + functional.cross_entropy(said[1], tone[rows])
            + functional.mse_loss(said[2], melanin[rows])
        )

    fingerprint = str(derive_seed(seed, steps, batch, len(pool)))
    outcome = train(
        network, loss_of, steps=steps, folder=state, fingerprint=fingerprint, learning_rate=2e-3, weight_decay=0.02, minutes=minutes,
    )
    return network.eval(), outcome


def to_units(melanin: torch.Tensor) -> torch.Tensor:
    """Melanosome fraction → its logarithm, −1 at the light end of type I and 1 at the dark end of type VI."""
    low, high = np.log(MELANOSOME_EDGES[0]), np.log(MELANOSOME_EDGES[-1])
    return (melanin.log() - low) * (2 / (high - low)) - 1


def from_units(units: torch.Tensor) -> torch.Tensor:
    """The inverse of `to_units`."""
    low, high = np.log(MELANOSOME_EDGES[0]), np.log(MELANOSOME_EDGES[-1])
    return ((units + 1) * ((high - low) / 2) + low).exp()


def _shares(right: pd.Series, by: pd.Series) -> dict[str, float]:
    return {str(key): round(float(share), 4) for key, share in right.groupby(by.to_numpy()).mean().items()}


def _card(network: Network, outcome: Outcome, table: dict) -> str:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    rows = [_row("all", [table[answer]["all"] for answer in _ANSWERS])]
    for group, word in (("by_tone", "type "), ("by_diagnosis", "")):
        for key in table["diagnosis"][group]:
            rows.append(_row(f"{word}{key}".replace("_", " "), [table[answer][group][key] for answer in _ANSWERS]))
    return f"""# phantom-oracle

A judge of drawn lesion pictures (`lib/phantom`): it says which of seven diagnoses and which of six Fitzpatrick types a picture of
{SIZE} pixels shows. It has its own training pictures, and nothing that it judges is trained on its opinion.
Licence: Apache-2.0. Not for photographs of people: it has never seen one.

* Network: convolutional, {parameters / 1e6:.2f} million parameters, fp16 safetensors.
* Training: {_IMAGES:,} pictures of types I to VI, difficulty 0.45, with artefacts, seed {_SEED:,}; turned and mirrored, nothing else;
  {outcome.steps:,} steps of {_BATCH} (each picture {outcome.steps * _BATCH / _IMAGES:.1f} times), {outcome.minutes:.0f} minutes on a busy
  CPU; averaged weights.
* Rebuild: `python -m lib.diffusion.base.build phantom-oracle` ({_STEPS:,} steps; with `--minutes` the schedule follows the clock, as it
  did here if the steps above are fewer, and the outcome is alike but not the same).

## Accuracy on {table["images"]:,} held-out drawn pictures (seed {SEED_HELD_OUT:,})

These are the ceilings: what a generator would reach whose pictures are as good as drawn ones (`ceiling.json`). They are under 1 by
design, as the signs of a drawn lesion may be borrowed from another diagnosis, and light and camera shift the colour of the skin.

| pictures | diagnosis | tone | tone within one type |
|---|---|---|---|
{chr(10).join(rows)}
"""


def _row(name: str, values: list[float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |"
