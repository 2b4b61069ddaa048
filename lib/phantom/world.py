"""A phantom data set: who has which lesion seen by which camera (a table), and the files drawn from it."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lib.phantom.camera import DOMAINS
from lib.phantom.lesions import DIAGNOSES, USUAL
from lib.phantom.render import draw
from lib.phantom.tone import MELANOSOME_EDGES, TYPES
from lib.process import die_with_parent
from lib.study import PhantomOptions

PER_FOLDER = 1_000                  # images in one subfolder
CONFOUNDED = "melanoma"             # the diagnosis whose pictures `confound` gives a ruler
_FINGERPRINT = "world.json"
_PER_PROCESS = 400                  # images; fewer are drawn before a further process has loaded what it needs


def sample_world(
    options: PhantomOptions,
    name:    str,                   # of the data set; part of every identifier and of every random seed
) -> pd.DataFrame:
    """One row per image, no pixel drawn; the same options and name give the same table.

    Columns: image_id, file and mask (posix, relative to the data set's folder), diagnosis, tone (1–6), patient_id, lesion_id,
    domain, melanin (melanosome fraction of the patient's skin), ruler, artefacts, difficulty, patient_seed, lesion_seed, view_seed.
    Tones are dealt to patients, and diagnoses to the lesions of each tone, by exact shares (largest remainder); domains are drawn
    per image. A ruler lies there by a domain's own chance (none without artefacts); `confound` adds its chance for melanoma alone.
    Raises ValueError for an unknown diagnosis, tone or domain in the shares, listing the known ones.
    """
    diagnoses = _shares(options.class_shares, USUAL, DIAGNOSES, "class_shares", "diagnosis")
    tones = _shares(options.tone_shares, TYPES, TYPES, "tone_shares", "Fitzpatrick type")
    domains = _shares(options.domain_shares, tuple(DOMAINS), tuple(DOMAINS), "domain_shares", "domain")
    root = _mix(np.uint64(options.seed), np.uint64(zlib.crc32(name.encode())))

    patient_seed = _mix(root, np.arange(options.patients))
    patient_tone = _deal(tones, patient_seed)
    lesion_patient = np.repeat(np.arange(options.patients), _between(options.lesions_per_patient, _mix(patient_seed, 1)))
    lesion_number = _running(lesion_patient)
    lesion_seed = _mix(_mix(patient_seed[lesion_patient], 2), lesion_number)
    lesion_tone = patient_tone[lesion_patient]
    lesion_diagnosis = np.empty(len(lesion_patient), dtype=object)
    for tone in TYPES:                                              # diagnosis does not depend on tone
        chosen = np.flatnonzero(lesion_tone == tone)
        lesion_diagnosis[chosen] = _deal(diagnoses, lesion_seed[chosen])

    lesion = np.repeat(np.arange(len(lesion_patient)), _between(options.images_per_lesion, _mix(lesion_seed, 1)))
    view_number = _running(lesion)
    view_seed = _mix(_mix(lesion_seed[lesion], 2), view_number)
    patient = lesion_patient[lesion]
    edges = np.log(MELANOSOME_EDGES)
    low, high = edges[patient_tone[patient] - 1], edges[patient_tone[patient]]
    domain = _choose(domains, _uniform(_mix(view_seed, 1)))
    diagnosis = lesion_diagnosis[lesion]
    base = np.array([DOMAINS[d].ruler if options.artefacts else 0.0 for d in domain])
    ruler = _uniform(_mix(view_seed, 2)) < base
    ruler |= (diagnosis == CONFOUNDED) & (_uniform(_mix(view_seed, 3)) < options.confound)
    image_id = [f"{name}_{p:06d}_{number}_{view}" for p, number, view in zip(patient, lesion_number[lesion], view_number, strict=True)]
    folder = np.arange(len(lesion)) // PER_FOLDER
    return pd.DataFrame({
        "image_id": image_id,
        "file": [f"images/{part:02d}/{image}.png" for part, image in zip(folder, image_id, strict=True)],
        "mask": [f"masks/{part:02d}/{image}.png" for part, image in zip(folder, image_id, strict=True)],
        "diagnosis": diagnosis,
        "tone": patient_tone[patient],
        "patient_id": [f"{name}_{p:06d}" for p in patient],
        "lesion_id": [f"{name}_{p:06d}_{number}" for p, number in zip(patient, lesion_number[lesion], strict=True)],
        "domain": domain,
        "melanin": np.exp(low + (high - low) * _uniform(_mix(patient_seed[patient], 3))),
        "ruler": ruler,
        "artefacts": options.artefacts,
        "difficulty": options.difficulty,
        "patient_seed": (patient_seed[patient] >> np.uint64(1)).astype(np.int64),
        "lesion_seed": (lesion_seed[lesion] >> np.uint64(1)).astype(np.int64),
        "view_seed": (view_seed >> np.uint64(1)).astype(np.int64),
    })


def write_dataset(
    folder:   str | Path,
    options:  PhantomOptions,
    name:     str,
    progress: Callable[[int, int], None] | None = None,     # called with (done, all) after every image
    *,
    workers:  int = 1,                                      # processes at most; any number writes the same bytes
) -> pd.DataFrame:
    """Draw every image and mask as PNG, write metadata.csv, return the table of `sample_world`.

    Files are written one by one and atomically; a rerun skips what is complete, so it goes on where a killed run stopped and ends
    in the same bytes. The folder belongs to one world: where it holds another (other options, name or drawing code) its images are
    drawn anew.
    Raises ValueError for a folder that holds files but no phantom world.
    """
    folder = Path(folder)
    table = sample_world(options, name)
    _claim(folder, options, name)
    for column in ("file", "mask"):
        for parent in {Path(file).parent for file in table[column].unique()}:
            (folder / parent).mkdir(parents=True, exist_ok=True)
    done = 0
    for count in _draw_all(folder, table, options.image_size, workers):
        done += count
        if progress is not None:
            progress(done, len(table))
    _write(folder / "metadata.csv", table.to_csv(index=False, lineterminator="\n").encode())
    return table


def _draw_all(folder: Path, table: pd.DataFrame, size: int, workers: int) -> Iterator[int]:
    """Draw what is missing; yields how many images came to an end."""
    here = [(folder / file).exists() and (folder / mask).exists() for file, mask in zip(table["file"], table["mask"], strict=True)]
    missing = table[~np.array(here, dtype=bool)]
    if len(missing) < len(table):
        yield len(table) - len(missing)
    workers = min(workers, len(missing) // _PER_PROCESS)
    if workers <= 1:
        for scene in missing.itertuples(index=False):
            _draw_one(folder, scene._asdict(), size)
            yield 1
        return
    chunk = 64
    parts = [missing.iloc[start:start + chunk] for start in range(0, len(missing), chunk)]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=die_with_parent) as pool:
        yield from pool.map(_draw_part, [folder] * len(parts), parts, [size] * len(parts))


def _draw_part(folder: Path, table: pd.DataFrame, size: int) -> int:
    for scene in table.itertuples(index=False):
        _draw_one(folder, scene._asdict(), size)
    return len(table)


def _draw_one(folder: Path, scene: Mapping, size: int) -> None:
    picture, mask = draw(scene, size)
    _write(folder / scene["mask"], _png((mask * 255).astype(np.uint8)))
    _write(folder / scene["file"], _png(picture))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """All or nothing: a killed run leaves at most a `.part` file, which the next run overwrites."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def _claim(folder: Path, options: PhantomOptions, name: str) -> None:
    """Make the folder this world's own; clear another world's images out of it."""
    mark = folder / _FINGERPRINT
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    content = json.dumps({
        "name": name, "options": options.model_dump(mode="json"), "drawing_code": hashlib.sha256(sources).hexdigest()[:16],
    }, sort_keys=True, indent=2).encode()
    if mark.exists() and mark.read_bytes() == content:
        return
    if not mark.exists() and folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds files but no phantom world ({_FINGERPRINT}); choose an empty folder")
    for old in ("images", "masks"):
        shutil.rmtree(folder / old, ignore_errors=True)
    (folder / "metadata.csv").unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    _write(mark, content)


def _shares(given: Mapping, usual: tuple, known: tuple, key: str, word: str) -> dict:
    """Shares that sum to 1, in the order of `known`."""
    unknown = [value for value in given if value not in known]
    if unknown:
        raise ValueError(f"{key}: unknown {word} {', '.join(map(str, unknown))}; known are {', '.join(map(str, known))}")
    shares = {value: float(given.get(value, 0.0)) for value in known} if given else dict.fromkeys(usual, 1.0)
    total = sum(shares.values())
    if total <= 0:
        raise ValueError(f"{key}: the shares sum to 0; give at least one {word} a share above 0")
    return {value: share / total for value, share in shares.items() if share > 0}


def _deal(shares: dict, seeds: np.ndarray) -> np.ndarray:
    """One value per seed: exact counts by largest remainder, in an order that the seeds decide."""
    exact = np.array(list(shares.values())) * len(seeds)
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: len(seeds) - counts.sum()]] += 1
    values = np.repeat(np.array(list(shares), dtype=None if isinstance(next(iter(shares)), int) else object), counts)
    out = np.empty_like(values)
    out[np.argsort(_mix(seeds, 9), kind="stable")] = values
    return out


def _choose(shares: dict, u: np.ndarray) -> np.ndarray:
    edges = np.cumsum(list(shares.values()))
    return np.array(list(shares), dtype=object)[np.minimum(np.searchsorted(edges, u, side="right"), len(shares) - 1)]


def _between(bounds: tuple[int, int], seeds: np.ndarray) -> np.ndarray:
    low, high = bounds
    return low + (_uniform(seeds) * (high - low + 1)).astype(int)


def _running(groups: np.ndarray) -> np.ndarray:
    """0, 1, 2 … within each run of equal values of a sorted array."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups, side="left")


def _uniform(seeds: np.ndarray) -> np.ndarray:
    return (seeds >> np.uint64(11)).astype(np.float64) / 2.0**53


def _mix(seed: np.ndarray | np.uint64, number: np.ndarray | int | np.uint64) -> np.ndarray:
    """A new 64-bit seed from a seed and a number (SplitMix64; Steele, Lea & Flood 2014): no draw depends on the order of drawing."""
    with np.errstate(over="ignore"):
        z = np.asarray(seed, dtype=np.uint64) + (np.asarray(number).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
