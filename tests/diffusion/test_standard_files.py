"""Token and LoRA files in a plain diffusers pipeline that knows nothing of this project, in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file

from lib.diffusion.adapters import add_lora, load_lora, lora_weights, save_lora
from lib.diffusion.hub import load_pipeline
from lib.diffusion.tokens import load_tokens, save_tokens

PROMPT = "a photo of <melanoma-fst-vi> on skin"
PLAIN = """
import json, sys
from pathlib import Path
import numpy as np, torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

base, tokens, lora, out, prompt = sys.argv[1:]
pipe = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
pipe.set_progress_bar_config(disable=True)
torch.set_num_threads(1)

def draw():
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return pipe(prompt, latents=latents, num_inference_steps=3, guidance_scale=3.0, output_type="np").images[0]

before = len(pipe.tokenizer)
pictures = {}
for path in sorted(Path(tokens).glob("*.safetensors")):
    if path.name != "tokens.safetensors":
        pipe.load_textual_inversion(path)
pictures["tokens"] = draw()
pipe.load_lora_weights(lora)
pictures["lora"] = draw()
np.savez(out, **pictures)
layers = sum(bool(getattr(module, "lora_A", None)) for module in pipe.unet.modules())
ours = [name for name in sys.modules if name.split(".")[0] == "lib"]
print(json.dumps({"added": len(pipe.tokenizer) - before, "layers": layers, "ours": ours}))
"""


@pytest.fixture
def files(tiny_pipeline, tmp_path):
    """Two tokens, one of them with two vectors, and an adapter whose scale is not 1, saved as notebooks 02 and 03 save them."""
    draw = torch.Generator().manual_seed(0)
    width = tiny_pipeline.text_encoder.config.hidden_size
    embeddings = {"<melanoma-fst-vi>": torch.randn(2, width, generator=draw), "<nevus>": torch.randn(1, width, generator=draw)}
    save_tokens(embeddings, tmp_path / "tokens")
    trainable = add_lora(tiny_pipeline.unet, rank=4, alpha=12, dropout=0.0, targets=["to_q", "to_k", "to_v", "to_out.0"], seed=0)
    with torch.no_grad():
        for name, weight in trainable.items():
            if "lora_B" in name:
                weight.copy_(0.2 * torch.randn(weight.shape, generator=draw))       # more of it blows up what rounding leaves
    save_lora(lora_weights(tiny_pipeline.unet), tmp_path / "lora")
    return tmp_path


@pytest.fixture
def plain(tiny_folder, files):
    """What a plain pipeline makes of the files: its report, and its pictures."""
    script = files / "plain.py"
    script.write_text(PLAIN, encoding="utf-8")
    arguments = [str(tiny_folder), str(files / "tokens"), str(files / "lora"), str(files / "pictures.npz"), PROMPT]
    ended = subprocess.run([sys.executable, "-P", str(script), *arguments], cwd=files, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1]), dict(np.load(files / "pictures.npz"))


def draw_here(pipeline):
    """The same call within this project."""
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return pipeline(PROMPT, latents=latents, num_inference_steps=3, guidance_scale=3.0, output_type="np").images[0]


def test_a_plain_pipeline_loads_both_and_draws_what_this_one_draws(plain, files, tiny_base):
    report, pictures = plain
    assert report["ours"] == [] and report["added"] == 3 and report["layers"] > 0
    pipeline = load_pipeline(tiny_base)
    base = draw_here(pipeline)
    assert load_tokens(pipeline, files / "tokens") == ["<melanoma-fst-vi>", "<nevus>"]
    with_tokens = draw_here(pipeline)
    load_lora(pipeline, files / "lora")
    with_both = draw_here(pipeline)
    assert np.abs(pictures["tokens"] - with_tokens).max() < 1e-4
    assert np.abs(pictures["lora"] - with_both).max() < 1e-4
    assert np.abs(with_tokens - base).max() > 1e-3 and np.abs(with_both - with_tokens).max() > 1e-3


def test_the_files_hold_what_their_readers_look_for(files):
    assert set(load_file(files / "tokens" / "nevus.safetensors")) == {"<nevus>"}
    assert all(name.startswith("unet.") for name in load_file(files / "lora" / "pytorch_lora_weights.safetensors"))
