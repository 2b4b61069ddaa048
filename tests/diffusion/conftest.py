"""A Stable Diffusion pipeline small enough for tests (random weights, true structure), images to train on, and their words."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from one_thread import one_thread  # noqa: F401

from lib.study import Groups
from lib.study.generate import Base, ImagePrompt, Prompts
from lib.training.seeds import numpy_generator

CLASSES = ["melanoma", "nevus"]
WORDS = [
    *("a", "an", "photo", "of", "on", "skin", "lesion", "image", "dermoscopic", "clinical", "smartphone", "fitzpatrick", "type", "to"),
    *("i", "ii", "iii", "iv", "v", "vi", "melanoma", "nevus", "basal", "cell", "carcinoma", "seborrheic", "keratosis"),
]


def save_tokenizer(folder: Path, length: int = 16) -> None:
    """CLIP's byte-level tokenizer with one token per word of WORDS; any other text falls into single bytes."""
    from transformers import CLIPTokenizer

    def bytes_to_unicode() -> list[str]:
        shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
        return [chr(byte) for byte in shown] + [chr(256 + i) for i in range(256 - len(shown))]

    single = bytes_to_unicode()
    vocabulary, merges = single + [letter + "</w>" for letter in single], []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            parts = ["".join(pair), *parts[2:]]
            if pair not in merges:
                merges.append(pair)
            if parts[0] not in vocabulary:
                vocabulary.append(parts[0])
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(vocabulary)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n", encoding="utf-8")
    CLIPTokenizer.from_pretrained(folder, model_max_length=length).save_pretrained(folder)


def build_pipeline(folder: Path, *, prediction: str = "epsilon", seed: int = 0):
    """A pipeline for 32 px images with 4 × 8 × 8 latents, about 0.2 M parameters."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    save_tokenizer(folder / "words")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "words")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 16), down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4, norm_num_groups=4, sample_size=32, scaling_factor=0.5,
        )
        text = CLIPTextModel(CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, projection_dim=32,
            max_position_embeddings=tokenizer.model_max_length, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ))
        unet = UNet2DConditionModel(
            sample_size=8, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=32, norm_num_groups=4, attention_head_dim=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000, skip_prk_steps=True, steps_offset=1,
        set_alpha_to_one=False, prediction_type=prediction,
    )
    pipeline = StableDiffusionPipeline(vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
                                       feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    for part in (vae, text, unet):
        part.requires_grad_(False).eval()
    return pipeline


@pytest.fixture
def make_pipeline(tmp_path):
    """A function like `build_pipeline` without the folder, for other predictions or seeds."""
    return lambda **options: build_pipeline(tmp_path / "tiny", **options)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """A saved pipeline; `Base(model=str(tiny_folder))` names it in a study."""
    folder = tmp_path_factory.mktemp("tiny_sd")
    build_pipeline(tmp_path_factory.mktemp("tiny_words")).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def tiny_base(tiny_folder) -> Base:
    return Base(model=str(tiny_folder))


@pytest.fixture
def tiny_pipeline(tiny_base):
    """A fresh pipeline for every test, so that one may change it."""
    from lib.diffusion.hub import load_pipeline

    return load_pipeline(tiny_base)


@pytest.fixture
def save_ip_adapter():
    """A function (folder, unet) → ImagePrompt that saves an untrained IP-Adapter for that UNet, in the layout of the published ones."""
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    def save(folder: Path, unet) -> ImagePrompt:
        torch.manual_seed(3)
        config = CLIPVisionConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32,
                                  patch_size=8, projection_dim=12)
        CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
        tokens, width = 4, unet.config.cross_attention_dim
        state = {"image_proj.proj.weight": torch.randn(tokens * width, 12), "image_proj.proj.bias": torch.zeros(tokens * width),
                 "image_proj.norm.weight": torch.ones(width), "image_proj.norm.bias": torch.zeros(width)}
        for number, name in enumerate(unet.attn_processors):
            if name.endswith("attn2.processor"):
                module = unet.get_submodule(name.removesuffix(".processor"))
                for which in ("to_k", "to_v"):
                    state[f"ip_adapter.{number}.{which}_ip.weight"] = torch.randn(module.inner_dim, width)
        save_file(state, folder / "adapter.safetensors")
        return ImagePrompt(mode="ip_adapter", adapter=str(folder), weights="adapter.safetensors", scale=0.8)

    return save


@pytest.fixture(scope="session")
def tiny_samples() -> SimpleNamespace:
    """24 training and 8 validation rows and one test row: samples (DataFrame), pixels uint8 [N, 32, 32, 3], classes, groups, prompts.

    Two classes, types 1, 5 and unknown, two domains; an image is a disc whose colour follows its class on a ground that follows its tone.
    """
    rows, pictures = [], []
    ground = {1: 210, 5: 70, None: 140}
    for number in range(33):
        label, tone = CLASSES[number % 2], (1, 5, None)[number // 2 % 3]
        split = "train" if number < 24 else "validation" if number < 32 else "test"
        rng = numpy_generator(0, "tiny", number)
        y, x = np.mgrid[:32, :32]
        disc = (y - 16) ** 2 + (x - 16) ** 2 < rng.integers(25, 80)
        colour = np.array([ground[tone]] * 3) * (0.4 if label == "melanoma" else 0.7)
        picture = np.where(disc[..., None], colour, ground[tone]) + rng.normal(0, 6, (32, 32, 3))
        pictures.append(picture.clip(0, 255).astype(np.uint8))
        rows.append({
            "image_id": f"i{number:02d}", "path": f"i{number:02d}.png", "dataset": "toy" if number % 4 else "other",
            "domain": ("dermoscopic", "clinical")[number // 6 % 2], "label": label, "diagnosis": label, "tone": tone,
            "group": {1: "I–II", 5: "V–VI", None: None}[tone], "patient_id": f"p{number}", "lesion_id": f"l{number}",
            "cluster_id": f"c{number}", "split": split, "sha256": f"{number:064x}",
        })
    samples = pd.DataFrame(rows).astype({"tone": "Int8"})
    return SimpleNamespace(samples=samples, pixels=np.stack(pictures), classes=CLASSES, groups=Groups(), prompts=Prompts())
