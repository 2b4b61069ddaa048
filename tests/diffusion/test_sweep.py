"""The sweep over guidance: what it draws and measures, what it recommends, and its command."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from colours import Colours

from lib.diffusion import studio as module
from lib.diffusion.studio import open_studio
from lib.diffusion.sweep import main, strongest, sweep
from lib.metrics.perceptual_distance import perceptual_distances
from lib.study import Compute, Generation, Groups
from lib.study.generate import Base, Diffusion, Prompts


@pytest.fixture
def studio(tiny_folder, tiny_samples, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_pixels", lambda *_, **__: tiny_samples.pixels)
    study = SimpleNamespace(
        diffusion=Diffusion(base=Base(model=str(tiny_folder)), prompts=Prompts()), labels=SimpleNamespace(names=tiny_samples.classes),
        groups=Groups(), compute=Compute(device="cpu", threads=1), data=SimpleNamespace(crop="whole", remove_hair=False),
    )
    return open_studio(tiny_samples.samples, {}, study, cache=tmp_path, threads=1)


class Pixels(Colours):
    """One layer: the pixels themselves."""

    def feature_maps(self, pixels):
        return [pixels.reshape(len(pixels), -1, 3).astype(np.float32)]


def table(*variety):
    return pd.DataFrame({"guidance": [2.0, 3.0, 4.0][:len(variety)], "variety": variety})


def test_the_strongest_that_varies_enough_is_found_between_two():
    assert strongest(table(1.0, 0.9, 0.7), 0.85) == 3.25
    assert strongest(table(1.0, 0.95, 0.9), 0.85) == 4.0
    assert strongest(table(0.9, 0.8, 0.95), 0.85) == 2.5            # beyond the first that fails nothing counts
    assert strongest(table(0.8, 0.9, 0.9), 0.85) is None


def test_draws_every_guidance_from_the_same_noise_and_compares_with_training_images(studio):
    told = []
    generation = Generation(steps=2, batch_size=3, images=4, classes={"melanoma": 1}, tones={"5": 1}, start="plain")
    encoder = Pixels()
    rows = sweep(studio, generation, Groups(), encoder, guidance=[3.0, 1.0], images=2, progress=lambda *args: told.append(args))
    assert rows["guidance"].tolist() == [1.0, 3.0] and rows["pictures"].tolist() == [2, 2] and told[-1] == (4, 4)
    examples = studio.examples()
    real = examples.loc[examples["label"].eq("melanoma") & examples["tone"].eq("5"), "row"]
    apart = perceptual_distances(*[encoder.feature_maps(studio.pixels[real.to_numpy()])] * 2)
    assert rows["real"].to_numpy() == pytest.approx(apart[np.triu_indices(len(real), 1)].mean(), rel=1e-6)
    assert (rows["variety"] == rows["distance"] / rows["real"]).all() and rows["distance"].nunique() == 2
    again = sweep(studio, generation, Groups(), encoder, guidance=[1.0], images=2)
    assert again["distance"].iloc[0] == pytest.approx(rows["distance"].iloc[0], rel=1e-6)


class Failing:
    """Draws black and white pictures in turn; those of some cells are not finite."""

    batch_size = 3

    def __init__(self, failing):
        self.failing = failing

    def __call__(self, requests):
        return [None if (one.label, one.tone) in self.failing else np.full((8, 8, 3), one.number % 2 * 255, dtype=np.uint8)
                for one in requests]


def test_pictures_are_compared_with_training_images_of_the_cells_that_have_some(studio, monkeypatch):
    generation = Generation(steps=2, images=4, classes={"melanoma": 1}, tones={"1": 1, "5": 1})

    def swept(*failing):
        monkeypatch.setattr(studio, "sampler", lambda _: Failing(failing))
        return sweep(studio, generation, Groups(), Pixels(), guidance=[2.0], images=2).iloc[0]

    both, light, dark = swept(), swept(("melanoma", "5")), swept(("melanoma", "1"))
    assert (both["pictures"], light["pictures"], dark["pictures"]) == (4, 2, 2)
    assert light["real"] != dark["real"] and both["real"] == pytest.approx((light["real"] + dark["real"]) / 2)
    assert both["distance"] == pytest.approx(light["distance"]) == pytest.approx(dark["distance"])
    with pytest.raises(ValueError, match=r"at guidance 2 no cell has two pictures with finite pixels, .* set compute\.precision: no"):
        swept(("melanoma", "1"), ("melanoma", "5"))


def test_a_quota_without_training_images_is_refused(studio):
    studio.samples = studio.samples.assign(tone=studio.samples["tone"].where(studio.samples["tone"].ne(5)))
    with pytest.raises(ValueError, match="no cell of the quota has two training images"):
        sweep(studio, Generation(steps=2, images=2, tones={"5": 1}), Groups(), Pixels())


def test_the_command_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    assert main(["params/rare_lesion_small.yaml"]) == 2 and "add the sections" in capsys.readouterr().err
    folds = ["-p", "split.folds=3", "-p", "data.sources.1.role=development", "-p", "truth=null"]
    assert main(["params/ci.yaml", *folds]) == 2 and "split.folds: 3 has one per fold; copy the study" in capsys.readouterr().err
    assert main(["params/demo.yaml"]) == 1 and "run the stage that makes it" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["params/demo.yaml", "--guidance", "0.5"])
    assert "got 0.5, and 1 is the least" in capsys.readouterr().err
