"""The code that runs on phantom-sd runs on Stable Diffusion 1.5 unchanged: same depth and layers with random weights, two steps of each.

The true widths (1.07 billion weights, 4.3 GB) are tried where COUNTERBALANCE_SLOW=1: 7 GB of memory and five minutes of one core.
"""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lib.diffusion.adapters import load_lora, save_lora
from lib.diffusion.hub import load_pipeline
from lib.diffusion.latents import encode
from lib.diffusion.lora import train_lora
from lib.diffusion.quota import quota
from lib.diffusion.requests import Requests
from lib.diffusion.sampler import DiffusionSampler
from lib.diffusion.tokens import save_tokens, train_tokens
from lib.diffusion.words import Words, prompts_of
from lib.study import Compute, Generation, Groups
from lib.study.generate import Base, Lora, Prompts, Resampling, Tokens
from lib.training.runtime import prepare_machine

# pixels per side, widths of UNet and VAE, width and heads of the text encoder
TRUE, NARROW = (512, (320, 640, 1280, 1280), (128, 256, 512, 512), 768, 12), (64, (32, 64, 64, 64), (32, 32, 32, 32), 32, 4)
WEIGHTS = {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}      # of the published model
VOCABULARY, LENGTH = 49_408, 77


def build_pipeline(shape):
    """A pipeline as the published one is put together, with random weights."""
    side, unet, vae, width, heads = shape
    down = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=side // 8, block_out_channels=unet, layers_per_block=2, cross_attention_dim=width, attention_head_dim=8,
            down_block_types=down, up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
        )
        vae = AutoencoderKL(
            sample_size=side, block_out_channels=vae, layers_per_block=2, latent_channels=4, scaling_factor=0.18215,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )
        text_encoder = CLIPTextModel(CLIPTextConfig(
            vocab_size=VOCABULARY, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=12, num_attention_heads=heads,
            max_position_embeddings=LENGTH, bos_token_id=VOCABULARY - 2, eos_token_id=VOCABULARY - 1, pad_token_id=VOCABULARY - 1,
        ))
    scheduler = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True,
                              set_alpha_to_one=False, steps_offset=1)
    pipeline = StableDiffusionPipeline(vae=vae, text_encoder=text_encoder, tokenizer=build_tokenizer(), unet=unet, scheduler=scheduler,
                                       safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    for part in (unet, vae, text_encoder):
        part.requires_grad_(False).eval()
    return pipeline


def build_tokenizer():
    """CLIP's byte-level tokenizer without merges, filled up to its true size."""
    letters = sorted(ByteLevel.alphabet())
    known = [*letters, *(f"{letter}</w>" for letter in letters)]
    names = [*known, *(f"unused{i}</w>" for i in range(VOCABULARY - len(known) - 2)), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer({name: number for number, name in enumerate(names)}, [], model_max_length=LENGTH)


def learn_and_draw(pipeline, side, folder):
    """Two steps of tokens, two of LoRA, and an image drawn with both after saving and loading."""
    machine, groups = prepare_machine(Compute(device="cpu", threads=torch.get_num_threads())), Groups()
    words = Words(Prompts(), ["melanoma", "nevus"], groups)
    examples = pd.DataFrame({"row": [0, 1], "label": words.classes, "tone": ["6", "1"], "group": ["V–VI", "I–II"], "domain": "dermoscopic"})
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    latents = encode(pipeline.vae, pixels, cache=folder, batch_size=1)
    small = {"steps": 2, "batch_size": 1, "accumulation": 1, "warmup": 0, "gradient_checkpointing": True}
    shared = {"resampling": Resampling(), "fingerprint": "test", "accelerator": machine}

    tokens = train_tokens(pipeline, examples, latents, words, Tokens(**small, cells=["6"]), folder=folder / "02", **shared)
    prompts = prompts_of(examples, words, list(tokens.embeddings))
    lora = train_lora(pipeline, examples, latents, prompts, Lora(**small), folder=folder / "03", **shared)
    save_tokens(tokens.embeddings, folder / "tokens")
    save_lora(lora.weights, folder / "lora")
    load_lora(pipeline, folder / "lora")

    generation = Generation(images=1, over_generation=1, steps=2, batch_size=1, start="plain")
    requests = Requests(quota(generation, ["melanoma"], ["6"]), words, {"dermoscopic": 1}, generation, groups, study="shape",
                        tokens=list(tokens.embeddings))
    return tokens, lora, requests[0], DiffusionSampler(pipeline, generation)(list(requests))[0]


def check(outcome, side, width):
    tokens, lora, request, image = outcome
    assert list(tokens.embeddings) == ["<melanoma-fst-vi>"] and tokens.embeddings["<melanoma-fst-vi>"].shape == (1, width)
    assert (tokens.norms["learnt"] != tokens.norms["initial"]).all()
    assert len(lora.weights) == 16 * 2 * 4 * 2                  # transformer blocks × (self, cross) × (q, k, v, out) × (down, up)
    assert all(weight.isfinite().all() for weight in lora.weights.values())
    assert max(weight.abs().max() for name, weight in lora.weights.items() if ".up." in name) > 0
    assert "<melanoma-fst-vi>" in request.prompt
    assert image is not None and image.shape == (side, side, 3) and image.dtype == np.uint8


def test_the_depth_of_stable_diffusion(tmp_path):
    side, _, _, width, _ = NARROW
    build_pipeline(NARROW).save_pretrained(tmp_path / "base")
    pipeline = load_pipeline(Base(model=str(tmp_path / "base")))         # a folder or an id in the study, and nothing else changes
    check(learn_and_draw(pipeline, side, tmp_path), side, width)


@pytest.mark.skipif(os.environ.get("COUNTERBALANCE_SLOW") != "1", reason="needs 7 GB of memory and minutes; set COUNTERBALANCE_SLOW=1")
def test_the_true_shape_of_stable_diffusion(tmp_path):
    side, _, _, width, _ = TRUE
    pipeline = build_pipeline(TRUE)
    assert {part: sum(weight.numel() for weight in getattr(pipeline, part).parameters()) for part in WEIGHTS} == WEIGHTS
    check(learn_and_draw(pipeline, side, tmp_path), side, width)
