"""What the frozen encoders make of images and prompts, worked out once: latents as mean and standard deviation, text embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.loaders import TextualInversionLoaderMixin
from filelock import FileLock

from lib.files import reserve, write_atomically

_RECIPE = "latents 1"       # part of the cache's key: change it with the recipe
_PROMPTS = 32               # encoded at once
_TURNS   = 8                # ways to lay a square down: mirrored or not, on each of its sides


@dataclass(frozen=True)
class Latents:
    """The encoder's distribution for every image, scaled as the UNet wants it; read in place from the cache."""

    mean:  np.ndarray       # float32 [N · views, C, h, w], the views of an image side by side
    std:   np.ndarray       # float32, likewise
    views: int = 1          # 8: every image also mirrored and turned

    def __len__(self) -> int:
        return len(self.mean) // self.views

    def sample(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """One draw for each of `rows` [B, C, h, w], float32 on the CPU: of one of its views, where there are several.

        A fresh draw each step is what training on images would see.
        """
        rows = np.asarray(rows)
        if self.views > 1:
            rows = rows * self.views + torch.randint(self.views, (len(rows),), generator=generator).numpy()
        mean, std = torch.from_numpy(self.mean[rows]), torch.from_numpy(self.std[rows])
        return mean + std * torch.randn(mean.shape, generator=generator)


def encode(
    vae:    AutoencoderKL,
    pixels: np.ndarray,                     # uint8 [M, S, S, 3], S a multiple of what the VAE shrinks by
    rows:   np.ndarray | None = None,       # which of them, in the order of the result; default: all
    *,
    flips:      bool                              = False,          # also mirrored and turned
    cache:      Path,                                               # folder; one file per set of images, VAE and batch size
    batch_size: int                               = 8,
    progress:   Callable[[int, int], None] | None = None,           # called with (images done, images)
) -> Latents:
    """Latents of images scaled to −1 … 1, times the VAE's scaling factor.

    Kept under `cache` by the hash of the pixels and of the VAE's weights; processes that ask at once wait for the first. Rounding
    depends on the size of a batch, on threads, device and precision, so these count as well. ValueError for a size that does not fit,
    OSError where the disk has no room for them.
    """
    rows = np.arange(len(pixels)) if rows is None else np.asarray(rows)
    shrink = 2 ** (len(vae.config.block_out_channels) - 1)
    side = pixels.shape[1] // shrink
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[1:] != (side * shrink, side * shrink, 3):
        raise ValueError(f"images are {pixels.dtype} {list(pixels.shape[1:])}; the VAE takes uint8 [S, S, 3] with S a multiple of {shrink} "
                         "(diffusion.image_size)")
    views = _TURNS if flips else 1
    path = Path(cache) / f"latents-{_key(vae, pixels, rows, views, batch_size)}.npy"
    shape = (2, len(rows) * views, vae.config.latent_channels, side, side)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not _complete(path, shape):
            def write(temporary: Path) -> None:
                stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
                reserve(temporary, "encoded images")
                for start, latents in _encode(vae, pixels, rows, views, batch_size):
                    stored[:, start:start + latents.shape[1]] = latents
                    if progress:
                        progress((start + latents.shape[1]) // views, len(rows))
                stored.flush()

            write_atomically(path, write)
    mean, std = np.load(path, mmap_mode="r")
    return Latents(mean, std, views)


def encode_prompts(
    tokenizer:    Callable,                 # CLIPTokenizer
    text_encoder: torch.nn.Module,          # CLIPTextModel
    prompts:      Collection[str],
) -> dict[str, torch.Tensor]:
    """Prompt → text embedding [L, D] on the text encoder's device, as the pipeline itself makes it; each different prompt once."""
    different = list(dict.fromkeys(prompts))
    found = {}
    with torch.no_grad():
        for start in range(0, len(different), _PROMPTS):
            part = different[start:start + _PROMPTS]
            found |= zip(part, embed_text(text_encoder, prompt_ids(tokenizer, part).to(text_encoder.device)), strict=True)
    return found


def prompt_ids(tokenizer: Callable, prompts: Collection[str]) -> torch.Tensor:
    """Padded ids [B, L]; a learnt token with several vectors is written out. ValueError for a prompt that would be cut off."""
    written = TextualInversionLoaderMixin().maybe_convert_prompt(list(prompts), tokenizer)
    ids = tokenizer(written, padding="max_length", max_length=tokenizer.model_max_length)["input_ids"]
    for prompt, one in zip(written, ids, strict=True):
        if len(one) > tokenizer.model_max_length:
            raise ValueError(f"the prompt {prompt!r} has {len(one)} tokens and the text encoder reads {tokenizer.model_max_length}; "
                             "shorten diffusion.prompts, or lower diffusion.tokens.vectors")
    return torch.tensor(ids)


def embed_text(text_encoder: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Ids [B, L] → embeddings [B, L, D]. No attention mask, as in Stable Diffusion 1.x: padding is read as well."""
    return text_encoder(ids)[0]


# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────

def _encode(vae: AutoencoderKL, pixels: np.ndarray, rows: np.ndarray, views: int, batch_size: int) -> Iterator[tuple[int, np.ndarray]]:
    scale, shift = vae.config.scaling_factor, vae.config.shift_factor or 0.0
    for start in range(0, len(rows) * views, batch_size):
        places = range(start, min(start + batch_size, len(rows) * views))
        laid = np.stack([_laid(pixels[rows[place // views]], place % views) for place in places])
        images = torch.from_numpy(laid).permute(0, 3, 1, 2).to(vae.device)
        with torch.no_grad():
            drawn = vae.encode(images.to(vae.dtype) / 127.5 - 1).latent_dist
        yield start, torch.stack([(drawn.mean.float() - shift) * scale, drawn.std.float() * scale]).cpu().numpy()


def _laid(image: np.ndarray, turn: int) -> np.ndarray:      # uint8 [S, S, 3], 0–7
    image = image[:, ::-1] if turn & 1 else image
    image = image[::-1] if turn & 2 else image
    return image.swapaxes(0, 1) if turn & 4 else image


def _key(vae: AutoencoderKL, pixels: np.ndarray, rows: np.ndarray, views: int, batch_size: int) -> str:
    config = {name: value for name, value in vae.config.items() if name[0] != "_"}
    machine = [torch.__version__, torch.get_num_threads(), vae.device.type, str(vae.dtype), batch_size]
    digest = hashlib.sha256(json.dumps([_RECIPE, config, machine, views, pixels.shape[1:]], sort_keys=True, default=str).encode())
    for name, weight in sorted(vae.state_dict().items()):
        digest.update(name.encode() + weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for row in rows:
        digest.update(np.ascontiguousarray(pixels[row]).data)
    return digest.hexdigest()[:32]


def _complete(path: Path, shape: tuple[int, ...]) -> bool:
    """A file cut short by a full disk or a copy is made again."""
    try:
        return np.load(path, mmap_mode="r").shape == shape
    except (ValueError, OSError, EOFError):
        return False
