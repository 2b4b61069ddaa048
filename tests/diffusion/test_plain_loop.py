"""The plain loops train what the published scripts train, and nothing else; the ceilings leave the models as they were."""

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from PIL import Image

from lib.diffusion.ceiling import denoise_bare, train_lora_bare, train_tokens_bare
from lib.diffusion.plain_loop import draw_plainly, train_lora_plainly, train_tokens_plainly
from lib.study import Compute
from lib.study.generate import Lora, Tokens
from lib.training.runtime import prepare_machine

TOKENS = Tokens(steps=3, batch_size=2, accumulation=2, warmup=0)
LORA = Lora(steps=3, batch_size=2, rank=2, alpha=4, dropout=0.0)
SIDE = 32


@pytest.fixture
def machine():
    return prepare_machine(Compute(device="cpu"))


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
    return paths


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_only_new_rows_change(machine, pictures, tiny_pipeline):
    pipeline, told = tiny_pipeline, []
    before = {part: weights(getattr(pipeline, part)) for part in ("unet", "vae", "text_encoder")}
    train_tokens_plainly(pipeline, pictures, ["a photo of <nevus>"] * 3, {"<nevus>": "nevus"}, TOKENS, image_size=SIDE,
                         accelerator=machine, progress=lambda *args: told.append(args))
    assert told == [(1, 3), (2, 3), (3, 3)]
    rows = pipeline.text_encoder.get_input_embeddings().weight
    old = before["text_encoder"].pop("embeddings.token_embedding.weight")
    assert torch.equal(rows[:len(old)], old)
    start = old[pipeline.tokenizer.encode("nevus", add_special_tokens=False)[0]]
    assert len(rows) == len(old) + 1 and not torch.equal(rows[-1], start) and torch.allclose(rows[-1], start, atol=0.01)
    for part, values in before.items():
        now = getattr(pipeline, part).state_dict()
        assert all(torch.equal(now[name], value) for name, value in values.items()), part


@pytest.mark.parametrize("gamma", [None, 5.0])
def test_only_the_adapter_changes(machine, pictures, tiny_pipeline, gamma):
    pipeline, told = tiny_pipeline, []
    before = weights(pipeline.unet)
    train_lora_plainly(pipeline, pictures, ["a photo of nevus"] * 3, LORA.model_copy(update={"min_snr_gamma": gamma}), image_size=SIDE,
                       accelerator=machine, progress=lambda *args: told.append(args))
    assert told == [(1, 3), (2, 3), (3, 3)]
    now = {name.replace("base_layer.", ""): value for name, value in pipeline.unet.state_dict().items()}
    assert all(torch.equal(now[name], value) for name, value in before.items())
    assert any(value.abs().max() > 0 for name, value in now.items() if "lora_B" in name)


def test_an_image_per_call(tiny_pipeline):
    images = draw_plainly(tiny_pipeline, ["a nevus", "a nevus", "a nevus"], ["", "", ""], [1, 2, 1], steps=2, guidance=3.0)
    first, other, again = (np.asarray(image) for image in images)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_ceilings_run_in_the_shapes_that_are_asked_for(machine, tiny_pipeline):
    pipeline, shapes, told = tiny_pipeline, [], []
    pipeline.unet.register_forward_pre_hook(lambda module, args, options: shapes.append(tuple(args[0].shape)), with_kwargs=True)
    train_tokens_bare(pipeline, TOKENS, texts=2, image_size=SIDE, accelerator=machine, progress=lambda *args: told.append(args))
    assert shapes == [(2, 4, 8, 8)] * 6 and told[-1] == (3, 3)
    scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    denoise_bare(pipeline, scheduler, batches=2, batch_size=3, steps=4, guidance=3.0, image_size=SIDE)
    assert shapes[6:] == [(6, 4, 8, 8)] * 8
    train_lora_bare(pipeline, LORA, image_size=SIDE, accelerator=machine)
    assert shapes[14:] == [(2, 4, 8, 8)] * 3


def test_the_token_ceiling_takes_the_gradient_through_both_networks_and_trains_neither(machine, tiny_pipeline):
    pipeline, reached = tiny_pipeline, []
    first = pipeline.text_encoder.encoder.layers[0]
    first.register_full_backward_hook(lambda module, inputs, outputs: reached.append(inputs[0] is not None))
    train_tokens_bare(pipeline, TOKENS, texts=2, image_size=SIDE, accelerator=machine)
    assert reached == [True] * 6
    assert not any(p.grad is not None for model in (pipeline.unet, pipeline.text_encoder) for p in model.parameters())
