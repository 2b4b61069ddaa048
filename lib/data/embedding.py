"""What a trained encoder sees in a picture, as one vector; pictures of one scene have nearly the same.

For copies that pixels alone do not give away: other colours, other angles, parts. Any image model of `transformers` will do, from
the Hub or from a folder. Weights are read as safetensors only, and no code that comes with a model is run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from lib.data.errors import DataError
from lib.data.images import ImageRefused, decode, read_bytes
from lib.data.vectors import read_vectors, write_vectors

_BATCH = 32             # images per pass; part of the cache's key, as rounding depends on it
_ROWS  = 1024           # of one block of the comparison of all with all


def embed(
    images:  pd.DataFrame,                  # image_id, dataset, file, sha256: one row per content
    roots:   Mapping[str, Path],            # data set → its folder
    encoder: str,                           # Hub id or folder
    *,
    cache:   Path | None = None,            # folder; vectors are kept there by content, model and transform
    threads: int         = 1,               # for decoding
) -> np.ndarray:
    """One vector of length 1 per image, float32 [N, D]: image features of a two-tower model, else the mean of the last hidden state.

    Raises DataError where the encoder is not there or is no image model, and where an image can no longer be read.
    """
    processor, model, random = load_image_model(encoder)
    if cache is None:
        return _encode(images, roots, processor, model, threads)
    cache, key = Path(cache), _key(processor, model, random)
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"embeddings-{key}.npz"
    with FileLock(cache / f"embeddings-{key}.lock"):
        known = read_vectors(path)
        fresh = images[~images["sha256"].isin(list(known))]
        if len(fresh):
            known |= dict(zip(fresh["sha256"], _encode(fresh, roots, processor, model, threads), strict=True))
            write_vectors(path, known)
    return np.stack([known[name] for name in images["sha256"]])


def similar_vectors(
    vectors: np.ndarray,                    # float32 [N, D] of length 1
    least:   float,                         # cosine
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs i < j whose cosine, rounded to four digits, is at least `least`, and 1 − cosine of each."""
    found = [np.zeros((3, 0))]
    for top in range(0, len(vectors), _ROWS):
        cosine = (vectors[top:top + _ROWS] @ vectors[top:].T).round(4)
        i, j = np.nonzero(np.triu(cosine >= np.float32(least), 1))
        found.append(np.stack([i + top, j + top, 1 - np.minimum(cosine[i, j], 1)]))
    i, j, distance = np.concatenate(found, axis=1)
    return i.astype(np.int64), j.astype(np.int64), distance.round(4)


def load_image_model(
    encoder: str,                                           # Hub id or folder
    *,
    revision: str | None = None,                            # of a Hub model: commit, tag or branch
    key:      str        = "data.duplicates.encoder",       # of the study, for messages
    instead:  str        = ", or leave `encoder` out",      # what else could be done, for messages
) -> tuple[Any, Any, set[str]]:
    """Processor, model (in evaluation mode, on the CPU), and the weights that its files lack, which are random (a pooler, as a rule).

    Raises DataError where it is not there, is no image model or lacks other weights.
    """
    import transformers

    name, loud = str(Path(encoder).expanduser()), transformers.logging.get_verbosity()
    name = name if Path(name).is_dir() else encoder
    pinned = {"revision": revision} if revision else {}
    transformers.logging.set_verbosity_error()              # it would report each missing weight to people who did not ask
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(name, **pinned)
        model, told = transformers.AutoModel.from_pretrained(name, use_safetensors=True, output_loading_info=True, **pinned)
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        wanted = encoder if encoder.count("/") == 1 and encoder[0] not in "./~" else "ORGANISATION/MODEL"
        wanted += f" --revision {revision}" if revision else ""
        raise DataError(
            f"{key}: {encoder!r} cannot be loaded ({first[:200]}). It must be a folder with an image model of transformers, or a "
            f"Hub id that can be fetched from here. Where there is no network, fetch it elsewhere (hf download {wanted} "
            f"--local-dir FOLDER), bring the folder here and write its path{instead}") from None
    finally:
        transformers.logging.set_verbosity(loud)
    random = set(told["missing_keys"])
    lost = sorted(key for key in random if "pooler" not in key)
    if lost:
        raise DataError(f"{key}: {encoder!r} lacks {len(lost):,} of its weights (first: {lost[0]}); what it sees would "
                        "be random. Fetch it again, or choose another")
    return processor, model.eval(), random


def _key(processor: Any, model: Any, random: set[str]) -> str:
    """Of the weights themselves, wherever they came from, and of how pictures are made ready."""
    import torch

    config = {key: value for key, value in model.config.to_dict().items() if key[0] != "_" and key != "transformers_version"}
    digest = hashlib.sha256(json.dumps([processor.to_dict(), config, _BATCH], sort_keys=True, default=str).encode())
    for name, values in sorted(model.state_dict().items()):
        if name in random:
            continue
        digest.update(name.encode() + values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _encode(images: pd.DataFrame, roots: Mapping[str, Path], processor: Any, model: Any, threads: int) -> np.ndarray:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device)
    parts = []
    with torch.inference_mode():
        for pictures in _batches(images, roots, threads):
            pixels = processor(images=pictures, return_tensors="pt")["pixel_values"].to(device)
            vectors = pooled(model, pixels).float()
            parts.append(torch.nn.functional.normalize(vectors, dim=1).cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def _batches(images: pd.DataFrame, roots: Mapping[str, Path], threads: int) -> Iterator[list]:
    def read(row: tuple) -> Any:
        try:
            return decode(read_bytes(Path(roots[row.dataset]) / row.file))
        except ImageRefused as error:
            raise DataError(f"{row.dataset}: {row.file} {error}; it was there a moment ago. Run again") from None

    rows = list(images[["dataset", "file"]].itertuples(index=False))
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for start in range(0, len(rows), _BATCH):
            yield list(pool.map(read, rows[start:start + _BATCH]))


def pooled(model: Any, pixels: Any) -> Any:
    """[B, D]. A pooler is not asked: many checkpoints come without its weights, and it would be random."""
    if hasattr(model, "get_image_features"):
        features = model.get_image_features(pixel_values=pixels)
        return getattr(features, "pooler_output", features)
    hidden = model(pixel_values=pixels).last_hidden_state
    return hidden.mean(dim=1) if hidden.ndim == 3 else hidden.flatten(2).mean(dim=2)
