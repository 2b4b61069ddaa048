"""All contestants train on as many images and are timed; what they learn is thrown away."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lib.gan import benchmark
from lib.gan.benchmark import GanSetup, contestants, open_gan_setup, time_gan
from lib.gan.ceiling import train_bare
from lib.gan.networks import Critic, Generator
from lib.gan.savings import SAVINGS
from lib.report.savings import SAVINGS as WORDS
from lib.study import Compute
from lib.study.generate import Benchmarks
from lib.training.runtime import prepare_machine


@pytest.fixture
def setup(discs, small, monkeypatch):
    monkeypatch.setattr(benchmark, "can_compile", lambda: False)
    benchmarks = Benchmarks(steps=4, warmup=1).model_copy(update={"repetitions": 1})        # fewer than a study may ask for
    return GanSetup(discs, small(conditional=True, augmentation="differentiable"), benchmarks, prepare_machine(Compute(device="cpu")))


def test_times_everything_the_same_way(setup):
    told = []
    timings = time_gan(setup, progress=lambda *args: told.append(args))
    assert sorted(timings["contestant"]) == sorted(["ours", "plain", "ceiling", *(name for name in SAVINGS if name != "compiled")])
    assert told[-1] == (len(timings), len(timings)) and (timings["seconds"] > 0).all() and timings["task"].eq("gan").all()
    assert timings["images"].eq(2 * 2 * 4).all()                # two iterations hold four steps; two critic steps, four images each


def test_every_contestant_passes_as_many_images_through_the_networks(setup, monkeypatch):
    """In an iteration: drawn for each step, and three kinds of images to each critic step and one to the generator's."""
    seen = {}

    def networks(self, norm=None):
        generator, critic = Generator(32, 4, 1), Critic(32, 1)
        generator.register_forward_pre_hook(lambda module, args: count("drawn", len(args[0])))
        critic.register_forward_pre_hook(lambda module, args: count("judged", len(args[0])))
        return generator, critic

    def count(what, images):
        seen[name][what] = seen[name].get(what, 0) + images

    monkeypatch.setattr(GanSetup, "networks", networks)
    for name, run in contestants(setup).items():
        seen[name] = {}
        run(lambda *_: None)
    assert setup.iterations == 3
    written_out = {"ours", "ceiling", "written out"}           # whose penalty goes round the critic's forward pass
    assert seen == {name: {"drawn": 3 * 3 * 4, "judged": 3 * (5 if name in written_out else 7) * 4} for name in seen}


def test_compiles_only_where_it_can(setup, monkeypatch):
    assert "compiled" not in contestants(setup)
    monkeypatch.setattr(benchmark, "can_compile", lambda: True)
    assert "compiled" in contestants(setup)


def test_the_ceiling_trains_nothing(setup):
    generator, critic = setup.networks()
    before, told = [one.clone() for network in (generator, critic) for one in network.parameters()], []
    train_bare(generator, critic, setup.options, iterations=2, device=torch.device("cpu"), progress=lambda *args: told.append(args))
    after = [one for network in (generator, critic) for one in network.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True)) and told == [(1, 2), (2, 2)]
    assert all(one.grad is None and one.requires_grad for one in after)


def test_every_saving_has_its_words():
    assert list(WORDS) == list(SAVINGS)


def test_all_classes_train_as_one(discs, small, tmp_path):
    from types import SimpleNamespace

    from lib.data.images import content_hash

    for i, picture in enumerate(discs[:6]):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    samples = pd.DataFrame({"image_id": [f"i{i}" for i in range(6)], "dataset": "toy", "path": [f"{i}.png" for i in range(6)],
                            "sha256": [content_hash((tmp_path / f"{i}.png").read_bytes()) for i in range(6)], "mask_path": None,
                            "label": ["a", "b"] * 3, "split": "train"})
    study = SimpleNamespace(gan=small(crop="whole"), benchmarks=Benchmarks(), compute=Compute(device="cpu"), data=SimpleNamespace(
        remove_hair=False), labels=SimpleNamespace(names=["a", "b"]))
    setup = open_gan_setup(samples, {"toy": tmp_path}, study, cache=tmp_path / "cache", threads=1)
    assert setup.pixels.shape == (6, 32, 32, 3) and np.array_equal(setup.pixels[1], discs[2])
