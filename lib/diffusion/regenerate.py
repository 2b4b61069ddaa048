"""Make an image again from its row of the `synthetic` table: python -m lib.diffusion.regenerate SYNTHETIC.parquet IMAGE_ID [--out x.png]

On the same build the bytes are the same; elsewhere the message says what is different and by how much.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from diffusers import StableDiffusionPipeline
from PIL import Image

from lib.data.pixels import load_pixels
from lib.data.sources import source_folders
from lib.diffusion.adapters import FILE as ADAPTER_FILE
from lib.diffusion.adapters import adapter_hash, load_lora
from lib.diffusion.anchor import Anchors, colour_of
from lib.diffusion.generate import Sampler, png_bytes
from lib.diffusion.hub import cast, file_hash, identify, load_pipeline
from lib.diffusion.image_prompt import attach_ip_adapter, image_adapter_hash, picture_hash
from lib.diffusion.requests import Request
from lib.diffusion.sampler import DiffusionSampler
from lib.diffusion.tokens import load_tokens, tokens_hash
from lib.diffusion.words import Cell
from lib.files import write_atomically
from lib.study import Base, Compute, Data, Generation, ImagePrompt
from lib.tables import read_table
from lib.training.runtime import prepare_machine


class NotReproducible(ValueError):
    """A model or image that the row names is not here any more; the message says which."""


@dataclass(frozen=True)
class Again:
    """What came of it."""

    png:         bytes
    identical:   bool               # to the hash in the row
    differences: dict[str, str]     # of this machine from the row's: what → "then X, now Y"


def regenerate(
    row:   Mapping[str, Any],       # of the `synthetic` table, an accepted attempt
    study: Path,                    # the study's outputs, with study.yaml, models and samples
) -> Again:
    """Draw the image of a row again, in the batch shape, slot, threads and precision that it was drawn in.

    Tokens, adapters and a GAN's generators are found under `study` by their hashes. Raises NotReproducible where one, the base or the
    reference image is not the one of the row; ModelError where the base is missing.
    """
    row = {name: None if pd.isna(value) else value for name, value in row.items()}
    machine = prepare_machine(Compute(threads=int(row["threads"]), device="cpu" if row["device"] == "cpu" else "auto"))
    sampler = (_gan_sampler if row["generator"] == "gan" else _diffusion_sampler)(row, study, machine.device)
    image = sampler([_request(row)])[0]
    if image is None:
        raise NotReproducible(f"{row['image_id']}: its pixels are not finite on this machine")
    content = png_bytes(image)
    return Again(content, hashlib.sha256(content).hexdigest() == row["sha256"], _differences(row, sampler.describe()))


def _gan_sampler(row: Mapping[str, Any], study: Path, device: torch.device) -> Sampler:
    from lib.gan.model import WEIGHTS, load_generator  # lib.gan draws through this package, so nothing here imports it before it must
    from lib.gan.sampler import GanSampler

    folder = _find(study, WEIGHTS, row["base_sha256"], lambda place: file_hash(place / WEIGHTS), "the generator of 04_wgan_gp")
    return GanSampler({row["label"]: load_generator(folder, device)}, Generation(batch_size=int(row["batch_size"])))


def _diffusion_sampler(row: Mapping[str, Any], study: Path, device: torch.device) -> Sampler:
    """With the row's tokens, adapters, start and reference image."""
    settings = yaml.safe_load((study / "study.yaml").read_text(encoding="utf-8"))
    pipeline = _pipeline(row, study, settings, device)
    generation = _generation(row)
    if generation.image_prompt.mode == "ip_adapter":
        attach_ip_adapter(pipeline, generation)
    cast(pipeline, getattr(torch, row["dtype"]))
    if row["image_adapter"] and image_adapter_hash(pipeline) != row["image_adapter_sha256"]:
        raise NotReproducible(f"{row['image_id']}: {row['image_adapter_weights']} of {row['image_adapter']} or its image encoder is not "
                              "what it was drawn with (other weights)")
    colour = row["anchor_colour"] and colour_of(row["anchor_colour"])
    shapes = {(row["label"], row["tone_key"]): (bytes.fromhex(row["anchor_shape"]),)} if row["anchor_shape"] else {}
    anchors = Anchors({(row["tone_key"], None): (colour,)}, {}, shapes) if colour else None
    pictures = {row["source_image_id"]: _picture(row, study, settings)} if row["source_image_id"] else None
    return DiffusionSampler(pipeline, generation, anchors=anchors, pictures=pictures, size=int(row["width"]))


def _pipeline(row: Mapping[str, Any], study: Path, settings: dict, device: torch.device) -> StableDiffusionPipeline:
    """The base with the row's tokens and adapter."""
    named = (settings.get("diffusion") or {}).get("base", {})          # the study may have dropped the section since
    base = Base.model_validate({**named, "model": row["base_model"], "revision": row["base_revision"]})
    if identify(base).sha256 != row["base_sha256"]:
        raise NotReproducible(f"{row['image_id']}: {row['base_model']} is not the model it was drawn with (its files have other hashes)")
    pipeline = load_pipeline(base, device=device)
    if row["token_sha256"]:
        load_tokens(pipeline, _find(study, "tokens.safetensors", row["token_sha256"], tokens_hash, "the tokens of 02_textual_inversion"))
    if row["adapter_sha256"]:
        folder = _find(study, ADAPTER_FILE, row["adapter_sha256"], adapter_hash, "the adapter of 03_lora")
        load_lora(pipeline, folder, scale=row["lora_scale"])
    return pipeline


def _find(study: Path, name: str, sha256: str, hash_of: Callable[[Path], str], what: str) -> Path:
    """The folder under the study's outputs that holds the file with this hash."""
    places = sorted(path.parent for path in study.rglob(name))
    for folder in places:
        if hash_of(folder) == sha256:
            return folder
    raise NotReproducible(f"{what} with the hash {sha256[:16]}… are not under {study} ({len(places)} others are); they were trained again")


def _generation(row: Mapping[str, Any]) -> Generation:
    prompt = ImagePrompt()
    if row["start"] == "img2img":
        prompt = ImagePrompt(mode="img2img", strength=row["strength"])
    elif row["image_adapter"]:
        prompt = ImagePrompt(mode="ip_adapter", adapter=row["image_adapter"], weights=row["image_adapter_weights"], scale=row["strength"])
    return Generation(
        steps=int(row["steps"]), guidance=row["guidance"], scheduler=row["scheduler"], batch_size=int(row["batch_size"]),
        start="anchored" if row["start"] == "anchored" else "plain", anchor="shaped" if row["anchor_shape"] else "flat",
        image_prompt=prompt,
        lora_scale=1.0 if row["lora_scale"] is None else row["lora_scale"], attention_slicing=bool(row["attention_slicing"]),
    )


def _request(row: Mapping[str, Any]) -> Request:
    return Request(
        number=int(row["slot"]), image_id=row["image_id"], cell=Cell(row["label"], row["tone_key"]), tone_type=row["tone"],
        group=row["group"], domain=row["domain"], prompt=row["prompt"], negative_prompt=row["negative_prompt"] or "", seed=int(row["seed"]),
        attempt=int(row["attempt"]), slot=int(row["slot"]), source_image_id=row["source_image_id"],
    )


def _picture(row: Mapping[str, Any], study: Path, settings: dict) -> np.ndarray:
    """The reference image, as the generator saw it."""
    samples = read_table("samples", study / "01_eda" / "samples.parquet")
    found = samples[samples["image_id"] == row["source_image_id"]].reset_index(drop=True)
    if found.empty:
        raise NotReproducible(f"{row['image_id']}: its reference image {row['source_image_id']} is not among the samples any more")
    data = Data.model_validate(settings["data"])
    roots = source_folders(data.sources, phantom_root=study / "01_eda" / "images")
    with tempfile.TemporaryDirectory() as cache:
        picture = np.array(load_pixels(found, roots, int(row["width"]), data.crop, Path(cache), remove_hair=data.remove_hair)[0])
    if picture_hash(picture) != row["source_sha256"]:
        raise NotReproducible(f"{row['image_id']}: its reference image {row['source_image_id']} is not the picture it was drawn from (the "
                              "file, data.crop or data.remove_hair has changed since)")
    return picture


def _differences(row: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    then_versions, now_versions = json.loads(row["versions"]), json.loads(now["versions"])
    pairs = {name: (then_versions.get(name), now_versions.get(name)) for name in {**then_versions, **now_versions}}
    pairs |= {name: (row[name], now[name]) for name in ("device", "dtype", "threads")}
    return {name: f"then {then}, now {at_present}" for name, (then, at_present) in pairs.items() if then != at_present}


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────

def main(arguments: list[str] | None = None) -> int:
    """0: the same bytes; 1: another image than the row's; 2: it cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m lib.diffusion.regenerate", description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="synthetic.parquet of 05_generation")
    parser.add_argument("image_id")
    parser.add_argument("--out", type=Path, help="where to write the PNG; default: IMAGE_ID.png here")
    given = parser.parse_args(arguments)
    try:
        row = _row(given.table, given.image_id)
        again = regenerate(row, _study_of(given.table))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    out = given.out or Path(f"{given.image_id}.png")
    write_atomically(out, lambda temporary: temporary.write_bytes(again.png))
    print(f"{out}: {'the same bytes as in the row' if again.identical else _how_far(again, given.table.parent / row['path'])}")
    for name, text in again.differences.items():
        print(f"  {name}: {text}")
    return 0 if again.identical else 1


def _row(table: Path, image_id: str) -> dict[str, Any]:
    synthetic = read_table("synthetic", table)
    rows = synthetic[(synthetic["image_id"] == image_id) & synthetic["accepted"]]
    if rows.empty:
        known = ", ".join(synthetic.loc[synthetic["accepted"], "image_id"].head(3))
        raise ValueError(f"{table} has no accepted image {image_id!r}; it has {known}, …")
    return rows.iloc[0].to_dict()


def _study_of(table: Path) -> Path:
    """The folder above with study.yaml."""
    parents: Iterator[Path] = iter(table.resolve().parents)
    found = next((folder for folder in parents if (folder / "study.yaml").is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no study.yaml in any folder above {table}; regenerate works inside the outputs of a study")
    return found


def _how_far(again: Again, original: Path) -> str:
    if not original.is_file():
        return f"not the bytes of the row, and {original} is not there to compare"
    now, then = (np.asarray(Image.open(source), dtype=int) for source in (io.BytesIO(again.png), original))
    if now.shape != then.shape:
        return f"{now.shape[1]} × {now.shape[0]} pixels, the original has {then.shape[1]} × {then.shape[0]}"
    return f"not the bytes of the row; it differs from the original by at most {np.abs(now - then).max()} of 255"


if __name__ == "__main__":
    sys.exit(main())
