"""All contestants run on the same images and are timed; what they make is thrown away."""

import pytest
from PIL import Image

from lib.diffusion.benchmark import Setup, drawing, lora_training, time_all, token_training
from lib.diffusion.hub import identify, load_pipeline
from lib.diffusion.studio import Studio
from lib.diffusion.words import Words
from lib.study import Compute, Generation
from lib.study.generate import Benchmarks, Diffusion, Lora, Resampling, Tokens
from lib.training.runtime import prepare_machine


@pytest.fixture
def setup(tiny_base, tiny_samples, tmp_path):
    for path, picture in zip(tiny_samples.samples["path"], tiny_samples.pixels, strict=True):
        Image.fromarray(picture).save(tmp_path / path)
    diffusion = Diffusion(
        base=tiny_base, tokens=Tokens(batch_size=2, accumulation=2, cells=["5"], validate_every=2), lora=Lora(batch_size=3, rank=2),
        resampling=Resampling(batches={"1": 0.5, "5": 0.5}),
    )
    studio = Studio(
        load_pipeline(tiny_base), identify(tiny_base), prepare_machine(Compute(device="cpu")),
        Words(tiny_samples.prompts, tiny_samples.classes, tiny_samples.groups), tiny_samples.samples, tiny_samples.pixels, tmp_path, "tiny",
    )
    generation = Generation(batch_size=3, steps=2, images=60_000, brightness=(0, 1), minimum_contrast=0)
    benchmarks = Benchmarks(steps=2, warmup=1, batches=2).model_copy(update={"repetitions": 1})      # fewer than a study may ask for
    return Setup(studio, diffusion, generation, benchmarks, tiny_samples.groups, dict.fromkeys(["toy", "other"], tmp_path))


def test_times_everything_the_same_way(setup):
    told = []
    timings = time_all(setup, progress=lambda *args: told.append(args))
    assert told == [(done, 9) for done in range(1, 10)]
    assert (timings["seconds"] > 0).all()
    assert timings.groupby(["task", "contestant"]).size().eq(1).all() and len(timings) == 9
    assert timings.groupby("task")["images"].agg(set).to_dict() == {"tokens": {8}, "lora": {6}, "drawing": {6}}


@pytest.mark.parametrize("contestants", [token_training, lora_training, drawing])
def test_every_contestant_sees_as_many_images(setup, contestants, monkeypatch):
    """Counted at the UNet: ours and the ceiling in the same calls, and the plain loop in as many (drawing: one image at a time)."""
    calls = {}
    load = setup.pipeline

    def counted():
        pipeline = load()
        pipeline.unet.register_forward_pre_hook(lambda module, args, options: seen.append(len(args[0])), with_kwargs=True)
        return pipeline

    monkeypatch.setattr(Setup, "pipeline", lambda self: counted())
    seen = []
    for name, run in contestants(setup).items():
        seen.clear()
        watch = type("Watch", (), {"__call__": lambda *_: None, "start": lambda *_: None})()
        run(watch)
        calls[name] = list(seen)
    assert calls["ours"] == calls["ceiling"]
    assert sum(calls["plain"]) == sum(calls["ours"])
