"""LoRA training: it learns, touches nothing else, resumes bit-equal, and its batches see the prompts and labels they should."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lib.diffusion.adapters import NAME, AdapterError, load_lora, save_lora
from lib.diffusion.class_labels import ClassLabels
from lib.diffusion.latents import Latents, encode_prompts
from lib.diffusion.lora import CachedTexts, LoraStep, train_lora
from lib.diffusion.losses import NoiseSchedule, denoising_loss
from lib.study import Compute
from lib.study.generate import Diversity, Lora, Resampling
from lib.training.errors import TrainingDivergedError
from lib.training.runtime import prepare_machine
from lib.training.seeds import numpy_generator, torch_generator

OPTIONS = Lora(steps=6, batch_size=4, rank=2, alpha=4, dropout=0.1, learning_rate=1e-2, checkpoint_every=2, restarts=2)


class Killed(RuntimeError):
    pass


@pytest.fixture
def examples():
    return pd.DataFrame({"label": ["melanoma", "nevus"] * 6, "tone": (["1"] * 4 + ["5"] * 4 + [None] * 4), "group": [None] * 12})


@pytest.fixture
def prompts(examples):
    cells = zip(examples["label"], examples["tone"], strict=True)
    return [f"a photo of {label} on {'v' if tone == '5' else 'i'} skin" for label, tone in cells]


@pytest.fixture
def latents():
    mean = numpy_generator(0, "latents").normal(size=(12, 4, 8, 8)).astype(np.float32)
    return Latents(mean, np.full_like(mean, 0.1))


@pytest.fixture
def train(tiny_pipeline, examples, latents, prompts, tmp_path):
    def run(options=OPTIONS, *, pipeline=tiny_pipeline, resampling=None, folder="run", fingerprint="f", compute=None, **more):
        accelerator = prepare_machine(compute or Compute(device="cpu", threads=1))
        return train_lora(pipeline, examples, latents, prompts, options, resampling=resampling or Resampling(), folder=tmp_path / folder,
                          fingerprint=fingerprint, accelerator=accelerator, **more)

    return run


def embed(images):
    return torch.nn.functional.normalize(images.mean((2, 3)) + 0.1, dim=1)


def predict(unet):
    generator = torch_generator(0, "probe")
    noisy, words = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 16, 32, generator=generator)
    with torch.no_grad():
        return unet(noisy, torch.tensor([10, 900]), encoder_hidden_states=words, class_labels=torch.zeros(2, 2, dtype=torch.long),
                    return_dict=False)[0]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_and_touches_nothing_but_the_adapter(train, tiny_pipeline, tmp_path):
    frozen = {(part, name): value.clone() for part in ("unet", "vae", "text_encoder")
              for name, value in getattr(tiny_pipeline, part).state_dict().items()}
    base = predict(tiny_pipeline.unet)
    learnt = train(OPTIONS.model_copy(update={"steps": 40, "prompt_dropout": 0.0, "checkpoint_every": 40, "min_snr_gamma": None}))
    losses = learnt.history["loss"]
    assert losses.iloc[-2:].mean() < 0.97 * losses.iloc[:2].mean()
    assert learnt.best_step == 40 and learnt.stopped == "all 40 steps done"
    trained = predict(tiny_pipeline.unet)
    assert not torch.equal(trained, base)
    for (part, name), value in frozen.items():
        now = getattr(tiny_pipeline, part).state_dict()
        assert torch.equal(now.get(name, now.get(".base_layer.".join(name.rsplit(".", 1)))), value), name
    tiny_pipeline.disable_lora()
    assert torch.equal(predict(tiny_pipeline.unet), base)

    save_lora(learnt.weights, tmp_path)
    load_lora(tiny_pipeline, tmp_path)
    torch.testing.assert_close(predict(tiny_pipeline.unet), trained, atol=1e-5, rtol=1e-5)
    assert not tiny_pipeline.unet.training and not any(weight.requires_grad for weight in tiny_pipeline.unet.parameters())


@pytest.mark.parametrize("extra", [{}, {"class_labels": True, "accumulation": 2}, {"diversity": True}])
def test_a_killed_run_ends_where_an_uninterrupted_one_does(train, make_pipeline, extra):
    options = OPTIONS.model_copy(update={key: value for key, value in extra.items() if key != "diversity"})
    more = {"resampling": Resampling(batches={"1": 0.5, "5": 0.5})}
    if "diversity" in extra:
        more = {"resampling": Resampling(diversity=Diversity(weight=0.5, pool=3)), "embed": embed}

    def stop(done, total, row):
        if done == 3:
            raise Killed

    whole = train(options, pipeline=make_pipeline(), folder="whole", **more)
    with pytest.raises(Killed):
        train(options, pipeline=make_pipeline(), progress=stop, **more)
    seen = []
    resumed = train(options, pipeline=make_pipeline(), progress=lambda done, total, row: seen.append(done), **more)
    assert seen == [3, 4, 5, 6]
    assert same(resumed.weights, whole.weights)
    pd.testing.assert_frame_equal(resumed.history, whole.history)
    if options.class_labels:
        assert same(resumed.class_labels.state_dict(), whole.class_labels.state_dict())
        assert whole.class_labels.label_rows.weight[1:].any() and whole.class_labels.tones == ("1", "5")


def test_checkpointing_of_activations_changes_nothing(train, make_pipeline):
    plain = train(folder="plain")
    spared = train(OPTIONS.model_copy(update={"gradient_checkpointing": True}), pipeline=make_pipeline(), folder="spared")
    for name, value in plain.weights.items():
        torch.testing.assert_close(spared.weights[name], value, atol=1e-5, rtol=1e-4)


def test_the_diversity_loss_changes_what_is_learnt_and_wants_an_encoder(train, make_pipeline):
    without = train(folder="without")
    diverse = train(pipeline=make_pipeline(), folder="with", resampling=Resampling(diversity=Diversity(weight=1.0)), embed=embed)
    assert not same(without.weights, diverse.weights)
    with pytest.raises(ValueError, match="no image encoder was given"):
        train(resampling=Resampling(diversity=Diversity(weight=0.1)), folder="none")


def test_the_memory_of_the_diversity_loss_is_not_split_over_processes(tiny_pipeline, examples, latents, prompts, tmp_path):
    two = SimpleNamespace(num_processes=2, process_index=0, device=torch.device("cpu"), mixed_precision="no")
    with pytest.raises(ValueError, match=r"diversity\.weight is 0\.1, and 2 processes share the batches: each would remember only its own"):
        train_lora(tiny_pipeline, examples, latents, prompts, OPTIONS, resampling=Resampling(diversity=Diversity(weight=0.1)), embed=embed,
                   folder=tmp_path, fingerprint="f", accelerator=two)


def test_mixed_precision_keeps_the_adapter_in_fp32(train):
    learnt = train(compute=Compute(device="cpu", threads=1, precision="bf16"))
    assert {weight.dtype for weight in learnt.weights.values()} == {torch.float32}
    assert np.isfinite(learnt.history["loss"]).all()


def test_validation_sees_the_adapter_without_dropout_and_the_best_state_stays(train, tiny_pipeline):
    unet, seen = tiny_pipeline.unet, {}

    def validate(done):
        assert not unet.training and not torch.is_grad_enabled()
        seen[done] = predict(unet)
        return {2: 1.0, 4: 0.5, 6: 0.7}[done]

    learnt = train(OPTIONS.model_copy(update={"validate_every": 2}), validate=validate)
    assert learnt.best_step == 4
    assert torch.equal(predict(unet), seen[4]) and not torch.equal(seen[4], seen[6])


def test_training_again_starts_afresh(train, tiny_pipeline):
    first = train(folder="a")
    again = train(folder="b")
    assert same(first.weights, again.weights)
    assert list(tiny_pipeline.unet.peft_config) == [NAME]


def test_a_loss_that_is_no_number_stops_and_names_the_step(train, latents):
    latents.mean[:] = np.nan
    with pytest.raises(TrainingDivergedError, match=r"diffusion.lora: the loss is nan in step 1; lower diffusion.lora.learning_rate"):
        train()


def test_a_target_without_a_layer_stops_before_any_work(train):
    with pytest.raises(AdapterError, match="'to_w' matches no layer"):
        train(OPTIONS.model_copy(update={"targets": ["to_w"]}))


def test_cached_texts_are_those_of_the_pipeline_and_empty_where_not_told(tiny_pipeline, prompts):
    texts = CachedTexts(tiny_pipeline, prompts, torch.device("cpu"))
    rows, told = np.array([7, 0, 5]), torch.tensor([True, False, True])
    wanted = encode_prompts(tiny_pipeline.tokenizer, tiny_pipeline.text_encoder, ["", *prompts])
    expected = torch.stack([wanted[prompts[7]], wanted[""], wanted[prompts[5]]])
    assert torch.equal(texts(rows, told), expected)
    theirs, empty = tiny_pipeline.encode_prompt(prompts[7], "cpu", 1, True, negative_prompt="")
    torch.testing.assert_close(texts(rows[:2], told[:2]), torch.cat([theirs, empty]))


def test_a_step_is_the_denoising_loss_of_its_batch(tiny_pipeline, examples, latents, prompts):
    options = OPTIONS.model_copy(update={"prompt_dropout": 0.5, "offset_noise": 0.1, "batch_size": 8})
    seen = {}

    def texts(rows, told):
        seen.update(rows=rows, told=told)
        return torch.ones(len(rows), 16, 32)

    step = LoraStep(tiny_pipeline, examples, latents, texts, options, Resampling(batches={"5": 1}), purpose="lora", class_labels=None,
                    embed=None, say=None)
    loss = step(3, 0)
    assert set(examples["tone"].iloc[seen["rows"]]) == {"5"} and 0 < seen["told"].sum() < 8
    generator = torch_generator(options.seed, "lora", 3, 0)
    clean = latents.sample(seen["rows"], generator)
    assert torch.equal(torch.rand(8, generator=generator) >= 0.5, seen["told"])
    schedule, words = NoiseSchedule.of(tiny_pipeline.scheduler), torch.ones(8, 16, 32)
    wanted = denoising_loss(tiny_pipeline.unet, schedule, clean, words, generator=generator, min_snr_gamma=5.0, offset_noise=0.1).loss
    assert torch.equal(loss, wanted)
    assert torch.equal(step(3, 0), loss) and not torch.equal(step(4, 0), loss)


def test_class_labels_are_withheld_with_the_prompt(tiny_pipeline, examples, latents, monkeypatch):
    labels = ClassLabels(["melanoma", "nevus"], ["1", "5"], 64)
    seen = {}
    monkeypatch.setattr("lib.diffusion.lora.denoising_loss", lambda *arguments, **named: seen.update(named) or torch.zeros(()))
    step = LoraStep(tiny_pipeline, examples, latents, lambda rows, told: seen.update(rows=rows, told=told),
                    OPTIONS.model_copy(update={"prompt_dropout": 0.5, "batch_size": 12}), Resampling(), purpose="lora", class_labels=labels,
                    embed=None, say=None)
    with pytest.raises(AttributeError):         # the stub returns no loss
        step(0, 0)
    numbers, told = seen["class_labels"], seen["told"]
    assert not numbers[~told].any() and 0 < told.sum() < 12
    shown = examples.iloc[seen["rows"]]
    cells = [(label, None if pd.isna(tone) else tone) for label, tone in zip(shown["label"], shown["tone"], strict=True)]
    assert torch.equal(numbers[told], labels.numbers(cells)[told])
