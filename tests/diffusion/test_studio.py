"""What notebooks have in hand: its mark changes with all that decides what is learnt, and with nothing else; what image prompts see."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from lib.diffusion import studio as module
from lib.diffusion.requests import Requests
from lib.diffusion.studio import keep_tokens, open_studio
from lib.diffusion.tokens import load_tokens, save_tokens
from lib.study import Compute, Generation, Groups, ImagePrompt
from lib.study.generate import Base, Diffusion, Prompts


@pytest.fixture
def opened(tiny_folder, tiny_samples, tmp_path, monkeypatch):
    """A studio on the tiny samples, with some things changed."""
    monkeypatch.setattr(module, "load_pixels", lambda *_, **__: tiny_samples.pixels)

    def of(*, samples=None, prompts=None, groups=None, crop="whole", precision="no"):
        study = SimpleNamespace(
            diffusion=Diffusion(base=Base(model=str(tiny_folder)), prompts=prompts or Prompts()), groups=groups or Groups(),
            labels=SimpleNamespace(names=tiny_samples.classes), compute=Compute(device="cpu", threads=1, precision=precision),
            data=SimpleNamespace(crop=crop, remove_hair=False),
        )
        return open_studio(tiny_samples.samples if samples is None else samples, {}, study, cache=tmp_path, threads=1)
    return of


@pytest.fixture
def mark(opened):
    return lambda **changes: opened(**changes).mark


def test_the_mark_follows_what_is_learnt_from_and_nothing_else(mark, tiny_samples):
    first, samples = mark(), tiny_samples.samples
    assert mark() == first == mark(samples=samples.assign(path="moved.png", patient_id="p"))
    for column, other in {"label": "melanoma", "tone": 3, "group": "I–II", "domain": "clinical", "split": "train", "sha256": "0"}.items():
        assert mark(samples=samples.assign(**{column: other})) != first, column


def test_the_mark_follows_the_words_also_those_that_only_the_score_uses(mark):
    marks = [mark(), mark(prompts=Prompts(negative="blurred")), mark(prompts=Prompts(by="group")), mark(crop="lesion"),
             mark(groups=Groups(values={"light": [1, 2, 3], "dark": [4, 5, 6]}))]
    assert len(set(marks)) == len(marks)


def test_image_prompts_are_training_images(opened, tiny_samples):
    studio, generation = opened(), Generation(steps=2, batch_size=2, image_prompt=ImagePrompt(mode="img2img", strength=0.6))
    cells = pd.DataFrame([("melanoma", "5", 1), ("nevus", "1", 1)], columns=["label", "tone", "images"])
    requests = Requests(cells, studio.words, {"clinical": 1}, generation, Groups(), study="tiny", references=studio.references())
    drawn = studio.sampler(generation)(list(requests))
    assert len(drawn) == 2 and all(image.shape == (32, 32, 3) for image in drawn)
    training = tiny_samples.samples[tiny_samples.samples["split"] == "train"]
    assert set(studio.pictures) == set(training["image_id"]) == {name for names in studio.references().values() for name in names}
    for place, image_id in zip(training.index, training["image_id"], strict=True):
        assert np.array_equal(studio.pictures[image_id], tiny_samples.pixels[place])
    assert studio.sampler(Generation()).pictures is None


def test_the_tokens_of_02_are_kept_beside_the_adapter(tmp_path, tiny_pipeline):
    save_tokens({"<melanoma-fst-vi>": torch.zeros(1, 32)}, tmp_path / "02" / "tokens")
    keep_tokens(tmp_path / "02", tmp_path / "03")
    assert load_tokens(tiny_pipeline, tmp_path / "03" / "tokens") == ["<melanoma-fst-vi>"]
    keep_tokens(None, tmp_path / "03")
    assert not (tmp_path / "03" / "tokens").exists()


def test_types_cannot_be_asked_for_where_none_is_known(opened, tiny_samples):
    with pytest.raises(ValueError, match="set it to group, or to none"):
        opened(samples=tiny_samples.samples.assign(tone=pd.array([pd.NA] * len(tiny_samples.samples), dtype="Int8")))


def test_drawing_holds_its_weights_in_the_precision_of_the_study(opened):
    """Training keeps them in fp32 and computes in less; so the studio's pipeline changes only when something is drawn."""
    studio = opened(precision="bf16")
    assert studio.pipeline.unet.dtype == torch.float32
    sampler = studio.sampler(Generation(steps=2, batch_size=2))
    assert sampler.describe()["dtype"] == "bfloat16" == str(sampler.dtype).removeprefix("torch.")
    assert {part.dtype for part in (studio.pipeline.unet, studio.pipeline.vae, studio.pipeline.text_encoder)} == {torch.bfloat16}
    assert opened().sampler(Generation(steps=2, batch_size=2)).describe()["dtype"] == "float32"
