"""Which guidance? python -m lib.diffusion.sweep STUDY.yaml [--guidance 2 2.5 3 …]

Guidance trades variety for agreement with the prompt (Ho & Salimans 2022, arXiv 2207.12598, fig. 1), and where the balance lies differs
from one set of training images to the next. So pictures are drawn at several, and their variety within a cell is held against that of the
training images of the cell: nobody has to judge what they show, and nothing but training images is looked at.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lib.diffusion.quota import domain_shares, quota
from lib.diffusion.requests import Requests
from lib.diffusion.studio import Studio
from lib.diffusion.words import cells_of
from lib.encoders.encoder import Encoder
from lib.metrics.perceptual_distance import mean_distance
from lib.study import Generation, Groups
from lib.training.seeds import derive_seed

USUAL   = (2.0, 2.5, 3.0, 3.5, 4.0)
IMAGES  = 8             # drawn per cell at each guidance; with four of them the mean of a cell is off by a tenth
VARIETY = 0.92          # of the training images' that pictures should have at least: new phantoms vary about a tenth more than a few do


def sweep(
    studio:     Studio,                 # with tokens and adapter
    generation: Generation,             # all but its guidance
    groups:     Groups,
    encoder:    Encoder,                # whose feature maps give the perceptual distance
    *,
    guidance:   Sequence[float] = USUAL,
    images:     int             = IMAGES,
    progress:   Callable[[int, int], None] | None = None,       # called with (pictures done, pictures)
) -> pd.DataFrame:
    """A row per guidance, ascending: guidance, pictures, distance, real, variety.

    `distance` is the perceptual distance over all pairs of a cell, averaged over the cells of the quota that have two pictures (those whose
    pixels are not finite are left out); `real` that of the training images of the same cells, one of each patient; `variety` the ratio.
    All guidances draw from the same noise, which is not that of the study's own images. ValueError where no cell of the quota has two
    training images, or none has two pictures.
    """
    real = _training_images(studio)
    cells = quota(generation, studio.words.classes, studio.words.tones)
    cells = cells[[len(real.get((row.label, row.tone), ())) > 1 for row in cells.itertuples()]].assign(images=images)
    if cells.empty:
        raise ValueError("no cell of the quota has two training images, so there is nothing to compare the variety with")
    usual = np.array([_distance(encoder, studio.pixels[real[row.label, row.tone]]) for row in cells.itertuples()])
    domains = domain_shares(generation, studio.examples()["domain"], studio.samples["domain"].unique())
    asked = generation.model_copy(update={"seed": derive_seed(generation.seed, "sweep") % 2**31})
    requests = list(Requests(cells, studio.words, domains, asked, groups, study="sweep", tokens=studio.tokens,
                             references=studio.references()))
    rows = []
    for number, strength in enumerate(sorted(guidance)):
        sampler, drawn = studio.sampler(asked.model_copy(update={"guidance": strength})), []
        for start in range(0, len(requests), sampler.batch_size):
            drawn += sampler(requests[start:start + sampler.batch_size])
            if progress:
                progress(number * len(requests) + len(drawn), len(guidance) * len(requests))
        by_cell = [[picture for picture in drawn[start:start + images] if picture is not None] for start in range(0, len(drawn), images)]
        seen = np.array([len(pictures) > 1 for pictures in by_cell])
        if not seen.any():
            raise ValueError(f"at guidance {strength:g} no cell has two pictures with finite pixels, so their variety cannot be measured; "
                             "set compute.precision: no, or leave this guidance out")
        apart = [_distance(encoder, np.stack(pictures)) for pictures in by_cell if len(pictures) > 1]
        rows.append({"guidance": strength, "pictures": sum(map(len, by_cell)), "distance": float(np.mean(apart)),
                     "real": float(usual[seen].mean())})
    return pd.DataFrame(rows).assign(variety=lambda table: table["distance"] / table["real"])


def strongest(table: pd.DataFrame, variety: float = VARIETY) -> float | None:
    """The strongest guidance of `sweep` up to which pictures vary enough, between two of them on a straight line; None where none does.

    Rounded down to a twentieth.
    """
    enough = (table["variety"] >= variety).to_numpy()
    if not enough[0]:
        return None
    last = len(enough) if enough.all() else int(enough.argmin())
    low = table.iloc[last - 1]
    if last == len(enough):
        return float(low["guidance"])
    high = table.iloc[last]
    exact = low["guidance"] + (high["guidance"] - low["guidance"]) * (low["variety"] - variety) / (low["variety"] - high["variety"])
    return float(np.floor(exact * 20 + 1e-9) / 20)


def _training_images(studio: Studio) -> dict[tuple[str, str | None], np.ndarray]:
    """(label, tone) → places in `studio.pixels`, one of each patient: photographs of one lesion are more alike than what is wanted."""
    examples, places = studio.examples(), {}
    for cell, row in zip(cells_of(examples), examples["row"], strict=True):
        places.setdefault((cell.label, cell.tone), {}).setdefault(studio.samples["cluster_id"].iloc[row], row)
    return {key: np.array(list(rows.values())) for key, rows in places.items()}


def _distance(encoder: Encoder, pixels: np.ndarray) -> float:
    return mean_distance(encoder.feature_maps(np.asarray(pixels)), unit=not encoder.weighted_maps)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────

def main(arguments: list[str] | None = None) -> int:
    """0: the table and a recommendation; 1: it could not be done, the text says why; 2: the study file or the command is wrong."""
    given = _parser().parse_args(arguments)

    from lib.study import ROOT, StudyError, load_study
    from lib.study.file import parse_override

    try:
        study = load_study(given.study, dict(parse_override(text) for text in given.param))
        if study.diffusion is None or study.generation is None:
            raise StudyError(f"{given.study}: a sweep draws with diffusion; add the sections `diffusion` and `generation`")
        if study.split.fold_numbers:
            raise StudyError(f"{given.study}: a sweep looks at one generator, and split.folds: {study.split.folds} has one per fold; copy "
                             "the study under another name with split.folds: 1, run that up to 03_lora and sweep it")
    except StudyError as error:
        print(error, file=sys.stderr)
        return 2
    outputs = ROOT / (os.environ.get("OUTPUTS_ROOT") or "outputs") / study.name
    try:
        table = _of_study(study, outputs, given)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table.to_string(index=False, formatters={"distance": "{:.3f}".format, "real": "{:.3f}".format, "variety": "{:.2f}".format}))
    found = strongest(table, given.variety)
    if found is None:
        print(f"At no guidance do pictures vary {given.variety:g} times as much as training images: train less, or on more images")
    else:
        print(f"generation.guidance: {found:g}   # the strongest at which pictures vary {given.variety:g} times as much as training images")
    return 0


def _of_study(study, outputs: Path, given: argparse.Namespace) -> pd.DataFrame:
    """`sweep` with what 02 and 03 have left in the study's outputs."""
    from lib.data.sources import source_folders
    from lib.diffusion.studio import open_studio
    from lib.encoders.load import load_encoder
    from lib.tables import read_table

    samples = read_table("samples", outputs / "01_eda" / "samples.parquet")
    roots = source_folders(study.data.sources, phantom_root=outputs / "01_eda" / "images")
    cache = outputs.parent / ".state" / study.name / "cache"
    studio = open_studio(samples, roots, study, cache=cache, threads=study.compute.threads)
    for stage, section in (("02_textual_inversion", study.diffusion.tokens), ("03_lora", study.diffusion.lora)):
        if section and not (outputs / stage / "finished.json").is_file():
            raise FileNotFoundError(f"{stage} of {study.name} has not run; python run_all.py {given.study} --until {stage}")
    adapter = outputs / "03_lora" if study.diffusion.lora and study.generation.use_lora else None
    tokens = adapter or (outputs / "02_textual_inversion" if study.diffusion.tokens else None)
    studio.take_tokens(tokens if study.generation.use_tokens else None)
    studio.take_adapter(adapter, scale=study.generation.lora_scale)
    encoder = load_encoder(study.diffusion.encoder, studio.accelerator.device, key="diffusion.encoder")
    return sweep(studio, study.generation, study.groups, encoder, guidance=given.guidance, images=given.images, progress=_told)


def _told(done: int, total: int) -> None:
    print(f"\r{done} of {total} pictures", end="" if done < total else "\n", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lib.diffusion.sweep",
                                     description="How guidance trades variety for agreement, on a study whose 03_lora has run.")
    parser.add_argument("study", help="a study file")
    parser.add_argument("--guidance", nargs="+", type=_at_least(1.0, float), default=list(USUAL), metavar="G", help="1 is none")
    parser.add_argument("--images", type=_at_least(2, int), default=IMAGES, help="drawn per cell at each guidance (default: %(default)s)")
    parser.add_argument("--variety", type=float, default=VARIETY, help="of the training images' (default: %(default)s)")
    parser.add_argument("-p", "--param", action="append", default=[], metavar="K=V", help="override: -p generation.steps=30")
    return parser


def _at_least(least: float, kind: type) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"got {text}, and {least:g} is the least")
        return value
    read.__name__ = "number"            # argparse names it in its message
    return read


if __name__ == "__main__":
    sys.exit(main())
