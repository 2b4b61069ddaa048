"""The sampler against diffusers' own pipelines, and images that depend on their own request alone."""

import dataclasses
import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import DDPMScheduler, StableDiffusionImg2ImgPipeline
from PIL import Image

from lib.diffusion.anchor import OWN_MEAN, Anchors, anchor_image, hex_of
from lib.diffusion.class_labels import add_class_labels
from lib.diffusion.image_prompt import attach_ip_adapter, picture_hash
from lib.diffusion.requests import Requests
from lib.diffusion.sampler import DiffusionSampler, make_scheduler
from lib.diffusion.words import Cell, Words
from lib.study import Generation, Groups, ImagePrompt, Prompts
from lib.tables import SYNTHETIC

ANCHORS = Anchors({("6", None): ((80, 50, 40), (60, 40, 30)), ("6", "clinical"): ((90, 60, 50),)}, {("6", None): 9, ("6", "clinical"): 12})
CELLS = pd.DataFrame([("melanoma", "6", 3), ("nevus", "1", 2), ("nevus", None, 3)], columns=["label", "tone", "images"])
REFERENCES = {Cell("melanoma", "6"): ["a", "b"], Cell("nevus", "1"): ["b"], Cell("nevus", None): ["a"]}


PICTURES = {name: np.random.default_rng(ord(name)).integers(0, 255, (32, 32, 3), dtype=np.uint8) for name in "abz"}


def make(pipeline, *, anchors=None, **options):
    """A sampler and its requests."""
    generation = Generation(**{"steps": 3, "guidance": 4, "batch_size": 4, "start": "plain"} | options)
    words = Words(Prompts(negative="a ruler"), ["melanoma", "nevus"], Groups())
    requests = Requests(CELLS, words, {"clinical": 1}, generation, Groups(), study="demo", references=REFERENCES)
    return DiffusionSampler(pipeline, generation, anchors=anchors, pictures=PICTURES), requests


def generators(requests):
    return [torch.Generator().manual_seed(request.seed) for request in requests]


def called(pipeline, requests, sampler, **options):
    """What diffusers makes of the same prompts, seeds and scheduler, as uint8."""
    pipeline.scheduler = make_scheduler(sampler.generation.scheduler, pipeline.scheduler.config)
    images = pipeline(prompt=[request.prompt for request in requests], negative_prompt=[request.negative_prompt for request in requests],
                      num_inference_steps=sampler.generation.steps, guidance_scale=sampler.generation.guidance,
                      generator=generators(requests), output_type="np", **options).images
    return (images * 255).round().astype(np.uint8)


def close(images, others):
    return max(np.abs(np.array(image, int) - np.array(other, int)).max() for image, other in zip(images, others, strict=True)) <= 1


@pytest.mark.parametrize("guidance", [1, 4])
@pytest.mark.parametrize("scheduler", ["dpmsolver++", "ddim", "pndm"])
def test_a_plain_start_is_a_plain_pipeline_call(tiny_pipeline, scheduler, guidance):
    sampler, requests = make(tiny_pipeline, scheduler=scheduler, guidance=guidance, steps=5)
    batch = [requests[place] for place in range(4)]
    assert close(sampler(batch), called(tiny_pipeline, batch, sampler))
    assert sampler.trace(batch[0]) == {"start": "plain", "anchor_colour": None, "anchor_shape": None, "source_sha256": None}


@pytest.mark.parametrize("scheduler", ["dpmsolver++", "ddim", "pndm"])
def test_img2img_is_the_img2img_pipeline(tiny_pipeline, scheduler):
    sampler, requests = make(tiny_pipeline, scheduler=scheduler, steps=6, image_prompt=ImagePrompt(mode="img2img", strength=0.6))
    batch = [requests[place] for place in range(4)]
    with torch.no_grad():
        latents = torch.cat([sampler._encode(PICTURES[request.source_image_id]) for request in batch])
    pipeline = StableDiffusionImg2ImgPipeline(**tiny_pipeline.components, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    assert close(sampler(batch), called(pipeline, batch, sampler, image=latents, strength=0.6))
    assert sampler.trace(batch[0])["start"] == "img2img" and sampler.describe()["strength"] == 0.6


def test_v_prediction(make_pipeline):
    pipeline = make_pipeline(prediction="v_prediction")
    sampler, requests = make(pipeline)
    batch = [requests[place] for place in range(4)]
    assert sampler.scheduler.config.prediction_type == "v_prediction"
    assert close(sampler(batch), called(pipeline, batch, sampler))


@pytest.mark.parametrize("options", [{}, {"anchors": ANCHORS, "start": "anchored"}, {"image_prompt": ImagePrompt(mode="img2img")}])
def test_an_image_depends_on_its_own_request_alone(tiny_pipeline, options):
    sampler, requests = make(tiny_pipeline, **options)
    batch = [requests[place] for place in range(4)]
    together = sampler(batch)
    for request, image in zip(batch, together, strict=True):
        assert np.array_equal(sampler([request])[0], image)
    assert all(np.array_equal(a, b) for a, b in zip(sampler(batch[::-1]), together[::-1], strict=True))
    other = [batch[0], *(requests.request(number, attempt=2) for number in (5, 6, 7))]
    assert np.array_equal(sampler(other)[0], together[0])
    assert not np.array_equal(sampler([dataclasses.replace(batch[0], seed=1)])[0], together[0])


def test_the_anchored_start_is_noise_over_a_flat_image_at_the_last_timestep(tiny_pipeline):
    sampler, requests = make(tiny_pipeline, anchors=ANCHORS, start="anchored")
    dark, light, unknown = requests[0], requests[3], requests[5]
    first = sampler._timesteps()[0]
    assert first == 999
    with torch.no_grad():
        starts = sampler._start([dark, light, unknown], int(first))
        flat = torch.tensor([90, 60, 50]).view(1, 3, 1, 1).expand(1, 3, 32, 32) / 127.5 - 1
        clean = tiny_pipeline.vae.encode(flat).latent_dist.mode() * tiny_pipeline.vae.config.scaling_factor
    noise = [torch.randn((1, 4, 8, 8), generator=generator) for generator in generators([dark, light, unknown])]
    level = noise[0] - (1 - OWN_MEAN) * noise[0].mean(dim=(2, 3), keepdim=True)
    reference = DDPMScheduler.from_config(tiny_pipeline.scheduler.config).add_noise(clean, level, torch.tensor([999]))
    torch.testing.assert_close(starts[:1], reference)
    assert torch.equal(starts[1:], torch.cat(noise[1:]))            # no images of type I, and no tone asked: plain
    assert sampler.trace(dark) == {"start": "anchored", "anchor_colour": hex_of((90, 60, 50)), "anchor_shape": None, "source_sha256": None}
    plain = {"start": "plain", "anchor_colour": None, "anchor_shape": None, "source_sha256": None}
    assert sampler.trace(light) == sampler.trace(unknown) == plain
    assert make(tiny_pipeline, anchors=ANCHORS, start="plain")[0].trace(dark)["start"] == "plain"


def test_the_shape_of_the_cell_lies_on_its_colour(tiny_pipeline):
    shape = bytes(np.random.default_rng(0).integers(90, 160, 192, dtype=np.uint8))
    shaped = replace(ANCHORS, shapes={("melanoma", None): (shape,)})
    sampler, requests = make(tiny_pipeline, anchors=shaped, start="anchored")
    dark, first = requests[0], int(sampler._timesteps()[0])
    kept = float(sampler.scheduler.alphas_cumprod[first])
    with torch.no_grad():
        start, noise = sampler._start([dark], first), torch.randn((1, 4, 8, 8), generator=generators([dark])[0])
        pixels = torch.from_numpy(anchor_image((90, 60, 50), shape, 32).copy()).permute(2, 0, 1)[None] / 127.5 - 1
        clean = tiny_pipeline.vae.encode(pixels).latent_dist.mode() * tiny_pipeline.vae.config.scaling_factor
    torch.testing.assert_close(start, kept**0.5 * clean + (1 - kept)**0.5 * (noise - (1 - OWN_MEAN) * noise.mean(dim=(2, 3), keepdim=True)))
    assert sampler.trace(dark)["anchor_shape"] == shape.hex()
    flat, _ = make(tiny_pipeline, anchors=shaped, start="anchored", anchor="flat")
    assert flat.trace(dark)["anchor_shape"] is None and flat.deciding() != sampler.deciding()
    with torch.no_grad():
        assert not torch.allclose(flat._start([dark], first), start)


def test_class_labels_reach_the_network_and_the_unconditional_half_is_not_told(tiny_pipeline):
    sampler, requests = make(tiny_pipeline)
    batch = [requests[place] for place in range(4)]
    plain = sampler(batch)
    module = add_class_labels(tiny_pipeline.unet, ["melanoma", "nevus"], list("123456"))
    assert sampler.describe()["class_labels"] is True
    assert all(np.array_equal(a, b) for a, b in zip(sampler(batch), plain, strict=True))       # rows are zero so far
    assert sampler._classes(batch, True).tolist() == [[0, 0]] * 4 + [[1, 6], [1, 6], [1, 6], [2, 1]]
    assert sampler._classes([requests[5]], False).tolist() == [[2, 0]]
    torch.nn.init.normal_(module.label_rows.weight)
    assert not np.array_equal(sampler(batch)[0], plain[0])


def test_dropout_is_off_while_drawing_and_the_mode_is_left_as_it_was(tiny_pipeline):
    sampler, requests = make(tiny_pipeline)
    tiny_pipeline.unet.mid_block.resnets[0].dropout.p = 0.9
    evaluated = sampler([requests[0]])[0]
    tiny_pipeline.unet.train()
    assert np.array_equal(sampler([requests[0]])[0], evaluated)
    assert tiny_pipeline.unet.training


def test_pixels_that_are_no_numbers_give_no_image(tiny_pipeline, monkeypatch):
    sampler, requests = make(tiny_pipeline)
    decode = sampler._decode

    def broken(latents):
        images = decode(latents)
        images[1, 0, 3, 3] = float("nan")
        return images

    monkeypatch.setattr(sampler, "_decode", broken)
    images = sampler([requests[place] for place in range(4)])
    assert images[1] is None and all(image.shape == (32, 32, 3) for image in images[:1] + images[2:])


def test_other_sizes_than_the_base_s_own(tiny_pipeline):
    _, requests = make(tiny_pipeline)
    sampler = DiffusionSampler(tiny_pipeline, requests.generation, size=48)
    assert sampler([requests[0]])[0].shape == (48, 48, 3) and sampler.describe()["width"] == 48


def test_two_requests_cannot_share_a_slot(tiny_pipeline):
    sampler, requests = make(tiny_pipeline)
    with pytest.raises(ValueError, match=r"4 places, one for each request; got slots \[0, 0\]"):
        sampler([requests[0], requests[4]])


def test_every_sampler_column_is_one_of_the_table(tiny_pipeline):
    sampler, requests = make(tiny_pipeline)
    assert set(sampler.describe()) | set(sampler.trace(requests[0])) <= set(SYNTHETIC.columns)


def test_schedulers_start_where_training_ended(tiny_pipeline):
    for name in ("dpmsolver++", "ddim", "pndm"):
        for steps in (1, 7, 20, 50):
            scheduler = make_scheduler(name, tiny_pipeline.scheduler.config)
            scheduler.set_timesteps(steps)
            assert scheduler.timesteps[0] == 999
            torch.testing.assert_close(scheduler.alphas_cumprod, tiny_pipeline.scheduler.alphas_cumprod)
    with pytest.raises(ValueError, match="pndm cannot start where no signal is left"):
        make_scheduler("pndm", dict(tiny_pipeline.scheduler.config) | {"rescale_betas_zero_snr": True})


# ── image prompts ────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("guidance", [1, 4])
def test_ip_adapter_is_the_pipeline_s_own(tiny_pipeline, save_ip_adapter, tmp_path, guidance):
    prompt = save_ip_adapter(tmp_path, tiny_pipeline.unet)
    attach_ip_adapter(tiny_pipeline, Generation(image_prompt=prompt))
    sampler, requests = make(tiny_pipeline, image_prompt=prompt, guidance=guidance)
    batch = [requests[place] for place in range(4)]
    images = sampler(batch)
    for request, image in zip(batch, images, strict=True):
        reference = Image.fromarray(PICTURES[request.source_image_id])
        assert close([image], called(tiny_pipeline, [request], sampler, ip_adapter_image=reference))
    assert not np.array_equal(images[0], sampler([dataclasses.replace(batch[0], source_image_id="z")])[0])
    assert np.array_equal(images[2], sampler([batch[2]])[0])


def test_what_decides_images_names_the_kind_of_image_prompt(tiny_pipeline, save_ip_adapter, tmp_path):
    """img2img of strength 0.6 and an IP-Adapter of scale 0.6 have the same columns, and other images."""
    first = save_ip_adapter(tmp_path, tiny_pipeline.unet)
    sampler, requests = make(tiny_pipeline, image_prompt=ImagePrompt(mode="img2img", strength=0.8))
    attach_ip_adapter(tiny_pipeline, Generation(image_prompt=first))
    others = [make(tiny_pipeline, image_prompt=first.model_copy(update={"weights": name}))[0] for name in ("adapter.safetensors", "b")]
    decided = [str([one.deciding(), one.describe()]) for one in (sampler, *others)]
    assert len(set(decided)) == 3 and sampler.describe()["strength"] == others[0].describe()["strength"]
    described, source = others[0].describe(), others[0].trace(requests[0])["source_sha256"]
    assert described["image_adapter"] == str(tmp_path) and described["image_adapter_weights"] == "adapter.safetensors"
    assert source == picture_hash(PICTURES[requests[0].source_image_id]) == hashlib.sha256(PICTURES["a"].tobytes()).hexdigest()
    with torch.no_grad():
        next(tiny_pipeline.image_encoder.parameters()).add_(1)
    changed = make(tiny_pipeline, image_prompt=first)[0].describe()
    assert changed["image_adapter_sha256"] != described["image_adapter_sha256"] == others[1].describe()["image_adapter_sha256"]
    assert "image_adapter" not in sampler.describe()


def test_an_image_prompt_that_cannot_be(tiny_pipeline, tmp_path):
    with pytest.raises(ValueError, match="no IP-Adapter is loaded"):
        make(tiny_pipeline, image_prompt=ImagePrompt(mode="ip_adapter"))
    with pytest.raises(ValueError, match="name the adapter"):
        attach_ip_adapter(tiny_pipeline, Generation(image_prompt=ImagePrompt(mode="ip_adapter")))
    prompt = ImagePrompt(mode="ip_adapter", adapter=str(tmp_path), weights="x.safetensors")
    with pytest.raises(ValueError, match="cannot be loaded"):
        attach_ip_adapter(tiny_pipeline, Generation(image_prompt=prompt))
    with pytest.raises(ValueError, match="needs `pictures`"):
        DiffusionSampler(tiny_pipeline, Generation(image_prompt=ImagePrompt(mode="img2img")))


def test_half_precision(tiny_pipeline):
    sampler, requests = make(tiny_pipeline)
    batch = [requests[place] for place in range(4)]
    single = np.stack(sampler(batch)).astype(int)
    sampler, _ = make(tiny_pipeline.to(torch.bfloat16), anchors=ANCHORS)
    assert sampler.describe()["dtype"] == "bfloat16"
    assert np.abs(np.stack(sampler(batch)).astype(int) - single).mean() < 8


# ── switches that save memory ────────────────────────────────────────────────────────────────────────────────────

def test_attention_in_slices_is_the_pipeline_s_own_and_recorded(tiny_pipeline):
    sampler, requests = make(tiny_pipeline)
    batch = [requests[place] for place in range(4)]
    whole = sampler(batch)
    assert sampler.describe()["attention_slicing"] is False
    sliced, _ = make(tiny_pipeline, attention_slicing=True)
    assert sliced.describe()["attention_slicing"] is True
    assert {type(one).__name__ for one in tiny_pipeline.unet.attn_processors.values()} == {"SlicedAttnProcessor"}
    assert close(sliced(batch), whole)


def test_models_wait_on_the_cpu_only_beside_a_gpu(tiny_pipeline, monkeypatch):
    with pytest.raises(ValueError, match=r"cpu_offload keeps models in main memory while a GPU draws, and this run has no GPU; set it to"):
        make(tiny_pipeline, cpu_offload=True)
    calls = []
    monkeypatch.setattr(tiny_pipeline, "_all_hooks", ["of an earlier sampler"], raising=False)
    monkeypatch.setattr(tiny_pipeline, "maybe_free_model_hooks", lambda: calls.append("freed"))
    sampler, requests = make(tiny_pipeline, cpu_offload=True)
    sampler([requests[0]])
    assert calls == ["freed"] and sampler.device == tiny_pipeline._execution_device


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_offloaded_models_draw_the_same(tiny_pipeline):
    sampler, requests = make(tiny_pipeline.to("cuda"))
    batch = [requests[place] for place in range(4)]
    whole = sampler(batch)
    offloaded, _ = make(tiny_pipeline, cpu_offload=True)
    assert close(offloaded(batch), whole) and tiny_pipeline.unet.device.type == "cpu"
    assert close(make(tiny_pipeline, cpu_offload=True)[0](batch), whole)
