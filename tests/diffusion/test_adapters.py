"""Adapters: off they change nothing, saved they load anywhere, and a file that does nothing is refused."""

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from lib.diffusion.adapters import (
    FILE,
    NAME,
    AdapterError,
    active_layers,
    add_lora,
    load_lora,
    lora_weights,
    remove_lora,
    save_lora,
    set_weights,
)
from lib.diffusion.class_labels import FILE as CLASS_LABELS_FILE
from lib.diffusion.class_labels import add_class_labels
from lib.training.seeds import torch_generator

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
MORE    = [*TARGETS, "ff.net.0.proj", "conv1"]          # layers that are no attention, one of them a convolution


def predict(unet, class_labels=None):
    generator = torch_generator(0, "probe")
    noisy, words = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 16, 32, generator=generator)
    with torch.no_grad():
        return unet(noisy, torch.tensor([10, 900]), encoder_hidden_states=words, class_labels=class_labels, return_dict=False)[0]


def adapt(unet, *, rank=4, alpha=11.0, seed=0, targets=TARGETS):
    """An adapter whose every weight is at work, as after training; alpha / rank is no power of two."""
    weights = add_lora(unet, rank=rank, alpha=alpha, dropout=0.1, targets=targets, seed=seed)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.add_(torch.randn(weight.shape, generator=torch_generator(1, name)) * 0.2)
    unet.eval()
    return weights


def saved(pipeline, folder, **options):
    adapt(pipeline.unet, **options)
    save_lora(lora_weights(pipeline.unet), folder)
    return predict(pipeline.unet)


def test_a_fresh_adapter_and_one_that_is_off_or_out_change_no_bit(tiny_pipeline):
    unet = tiny_pipeline.unet
    base, before = predict(unet), {name: value.clone() for name, value in unet.state_dict().items()}
    add_lora(unet, rank=4, alpha=8, dropout=0.0, targets=TARGETS, seed=0)
    assert torch.equal(predict(unet), base)
    adapt(unet)
    assert (predict(unet) - base).abs().max() > 1e-3
    tiny_pipeline.disable_lora()
    assert active_layers(unet) == 0
    assert torch.equal(predict(unet), base)
    tiny_pipeline.enable_lora()
    assert active_layers(unet) > 0
    remove_lora(unet)
    assert torch.equal(predict(unet), base)
    after = unet.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], value) for name, value in before.items())


def test_only_the_adapter_trains_and_its_start_follows_from_the_seed(tiny_pipeline):
    unet = tiny_pipeline.unet
    weights = add_lora(unet, rank=4, alpha=8, dropout=0.0, targets=TARGETS, seed=5)
    assert {name for name, weight in unet.named_parameters() if weight.requires_grad} == set(weights)
    assert len(weights) == 2 * active_layers(unet) == 2 * len(TARGETS) * 8        # eight attentions
    first = {name: weight.detach().clone() for name, weight in weights.items()}
    torch.rand(3)
    again = add_lora(unet, rank=4, alpha=8, dropout=0.0, targets=TARGETS, seed=5)
    assert all(torch.equal(again[name], value) for name, value in first.items())
    other = add_lora(unet, rank=4, alpha=8, dropout=0.0, targets=TARGETS, seed=6)
    assert not all(torch.equal(other[name], value) for name, value in first.items())


@pytest.mark.parametrize("targets", [TARGETS, MORE])
def test_plain_diffusers_loads_the_file_and_draws_the_same(tiny_pipeline, tiny_folder, tmp_path, targets):
    trained = saved(tiny_pipeline, tmp_path, targets=targets)
    assert load_lora(tiny_pipeline, tmp_path).layers == active_layers(tiny_pipeline.unet) > 0
    torch.testing.assert_close(predict(tiny_pipeline.unet), trained, atol=1e-5, rtol=1e-5)
    plain = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    base = predict(plain.unet)
    plain.load_lora_weights(tmp_path)
    torch.testing.assert_close(predict(plain.unet), trained, atol=1e-5, rtol=1e-5)
    assert (base - trained).abs().max() > 1e-2


def test_the_scale_is_in_the_weights_for_readers_that_know_no_alpha(tiny_pipeline, tmp_path):
    trained = saved(tiny_pipeline, tmp_path)
    weights, unet = load_file(tmp_path / FILE), tiny_pipeline.unet
    remove_lora(unet)
    for name in weights:        # the textbook's way: W + B·A
        if name.endswith("lora.down.weight"):
            layer = unet.get_submodule(name.removeprefix("unet.").removesuffix(".lora.down.weight"))
            layer = getattr(layer, "base_layer", layer)
            layer.weight.data += weights[name.replace(".down.", ".up.")] @ weights[name]
    torch.testing.assert_close(predict(unet), trained, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("targets", [TARGETS, MORE])
def test_weights_go_back_into_an_adapter_of_any_alpha(tiny_pipeline, targets):
    unet = tiny_pipeline.unet
    adapt(unet, targets=targets)
    weights, trained = lora_weights(unet), predict(unet)
    add_lora(unet, rank=4, alpha=3.0, dropout=0.1, targets=targets, seed=9)
    set_weights(unet.eval(), weights)
    torch.testing.assert_close(predict(unet), trained, atol=1e-5, rtol=1e-5)


def test_loading_replaces_an_earlier_one_and_scales(tiny_pipeline, tmp_path):
    base = predict(tiny_pipeline.unet)
    trained = saved(tiny_pipeline, tmp_path / "a", rank=4)
    saved(tiny_pipeline, tmp_path / "b", rank=2, alpha=3.0)
    loaded = load_lora(tiny_pipeline, tmp_path / "a")
    assert loaded.layers == active_layers(tiny_pipeline.unet) and loaded.class_labels is None
    torch.testing.assert_close(predict(tiny_pipeline.unet), trained, atol=1e-5, rtol=1e-5)
    load_lora(tiny_pipeline, tmp_path / "a", scale=0.5)
    half = predict(tiny_pipeline.unet)
    assert (half - base).abs().max() > 1e-3 < (half - trained).abs().max()
    load_lora(tiny_pipeline, tmp_path / "a", scale=0.0)
    torch.testing.assert_close(predict(tiny_pipeline.unet), base)


def test_class_labels_are_saved_beside_it_and_plain_diffusers_still_finds_the_adapter(tiny_pipeline, tiny_folder, tmp_path):
    adapt(tiny_pipeline.unet)
    labels = add_class_labels(tiny_pipeline.unet, ["melanoma", "nevus"], ["1", "6"])
    with torch.no_grad():
        for rows in labels.parameters():
            rows[1:].normal_(generator=torch_generator(0, "rows"))
    save_lora(lora_weights(tiny_pipeline.unet), tmp_path, class_labels=labels)
    asked = labels.numbers([("nevus", "6"), ("melanoma", None)])
    trained, untold = predict(tiny_pipeline.unet, asked), predict(tiny_pipeline.unet, torch.zeros_like(asked))
    loaded = load_lora(tiny_pipeline, tmp_path)
    torch.testing.assert_close(predict(tiny_pipeline.unet, loaded.class_labels.numbers([("nevus", "6"), ("melanoma", None)])), trained,
                               atol=1e-5, rtol=1e-5)
    plain = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    plain.load_lora_weights(tmp_path)
    torch.testing.assert_close(predict(plain.unet), untold, atol=1e-5, rtol=1e-5)

    whole = (tmp_path / CLASS_LABELS_FILE).read_bytes()
    base = StableDiffusionPipeline.from_pretrained(tiny_folder, safety_checker=None)
    (tmp_path / CLASS_LABELS_FILE).write_bytes(whole[:200])
    with pytest.raises(AdapterError, match=r"class_labels\.safetensors cannot be used \(.*\); run notebook 03 again"):
        load_lora(base, tmp_path)
    assert NAME not in getattr(base.unet, "peft_config", {}) and base.unet.class_embedding is None
    (tmp_path / CLASS_LABELS_FILE).write_bytes(whole)

    save_lora(lora_weights(tiny_pipeline.unet), tmp_path)       # trained again without: the old rows must not stay
    assert not (tmp_path / CLASS_LABELS_FILE).exists()
    assert load_lora(tiny_pipeline, tmp_path).class_labels is None and tiny_pipeline.unet.class_embedding is None


def test_a_target_without_a_layer_is_refused_and_the_layers_are_named(tiny_pipeline):
    base = predict(tiny_pipeline.unet)
    with pytest.raises(AdapterError, match=r"targets: 'to_w' matches no layer of the UNet; it has .*to_out\.0 \(\d+\)") as error:
        add_lora(tiny_pipeline.unet, rank=4, alpha=8, dropout=0.0, targets=["to_q", "to_w"], seed=0)
    assert "to_q (" in str(error.value) and "ff.net.2" not in str(error.value)
    assert NAME not in getattr(tiny_pipeline.unet, "peft_config", {})
    assert torch.equal(predict(tiny_pipeline.unet), base)


def rename(path, change):
    save_file({change(name): value for name, value in load_file(path).items()}, path, metadata={"format": "pt"})


@pytest.mark.parametrize(("damage", "message"), [
    (lambda path: rename(path, lambda name: name.replace("unet.", "unet.elsewhere.")), "elsewhere"),
    (lambda path: rename(path, lambda name: name.replace("unet.", "transformer.")), "changes 32 layers, of which this UNet has 0"),
    (lambda path: rename(path, lambda name: name.replace(".down_", ".elsewhere_")), "changes 32 layers, of which this UNet has 24"),
    (lambda path: path.write_bytes(path.read_bytes()[:500]), "is damaged"),
    (lambda path: path.unlink(), "is missing; notebook 03 writes it"),
])
def test_a_file_that_would_do_nothing_is_refused_and_the_base_stays_as_it_was(tiny_pipeline, tmp_path, damage, message):
    base = predict(tiny_pipeline.unet)
    saved(tiny_pipeline, tmp_path)
    remove_lora(tiny_pipeline.unet)
    damage(tmp_path / FILE)
    with pytest.raises(AdapterError, match=message):
        load_lora(tiny_pipeline, tmp_path)
    assert torch.equal(predict(tiny_pipeline.unet), base)


def test_an_adapter_of_a_base_of_another_width_is_refused(tiny_pipeline, tmp_path):
    base = predict(tiny_pipeline.unet)
    saved(tiny_pipeline, tmp_path)
    remove_lora(tiny_pipeline.unet)
    weights = load_file(tmp_path / FILE)
    save_file({name: value[:, :-1].contiguous() if ".down." in name else value for name, value in weights.items()}, tmp_path / FILE)
    with pytest.raises(AdapterError, match="does not fit this base model"):
        load_lora(tiny_pipeline, tmp_path)
    assert torch.equal(predict(tiny_pipeline.unet), base)
