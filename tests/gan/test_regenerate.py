"""A GAN's image made again from its row, by the same command as diffusion's."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from lib.diffusion.generate import basic_checks, generate
from lib.diffusion.regenerate import main
from lib.diffusion.words import Words
from lib.gan.model import load_generators, save_generator
from lib.gan.networks import Generator
from lib.gan.studio import GENERATORS, GanStudio
from lib.study import Compute, Generation, Groups, Prompts
from lib.tables import read_table, write_table
from lib.training.runtime import prepare_machine
from lib.training.seeds import seeded

LABELS = ["melanoma", "nevus"]


@pytest.fixture
def drawn(tmp_path):
    """A study's outputs with two generators (one of them conditional) and six images; the path of its table."""
    prepare_machine(Compute(device="cpu"))
    study = tmp_path / "tiny"
    study.mkdir()
    (study / "study.yaml").write_text("name: tiny\n", encoding="utf-8")
    for seed, (folder, classes) in enumerate({"melanoma": ["melanoma"], "others": ["dermatofibroma", "nevus"]}.items()):
        with seeded(seed, "test"):
            generator = Generator(32, latent=8, features=2, classes=len(classes) if len(classes) > 1 else 0).eval()
            generator.image.weight.data *= 20
        save_generator(study / "04_wgan_gp" / GENERATORS / folder, generator, {}, classes)
    rows = pd.DataFrame({"label": LABELS, "domain": "clinical"})
    models = {label: load_generators(study / "04_wgan_gp" / GENERATORS)[label] for label in LABELS}
    studio = GanStudio(models, Words(Prompts(by="none"), LABELS, Groups()), [], rows, np.zeros((2, 32, 32, 3), np.uint8))
    generation = Generation(images=6, over_generation=1, batch_size=4, brightness=(0, 1), minimum_contrast=0)
    folder = study / "05_generation" / "gan-shard-1-of-1"
    made = generate(studio.requests(generation, Groups(), study="tiny"), studio.sampler(generation), folder=folder,
                    accept=basic_checks(generation), attempts=1, provenance=studio.provenance())
    write_table("synthetic", made.table(), folder / "synthetic.parquet")
    return folder / "synthetic.parquet"


def test_every_image_comes_out_byte_by_byte(drawn, tmp_path, capsys):
    table = read_table("synthetic", drawn)
    assert len(table) == 6 and table["label"].nunique() == 2
    for row in table.itertuples():
        assert main([str(drawn), row.image_id, "--out", str(tmp_path / "again.png")]) == 0
        assert (tmp_path / "again.png").read_bytes() == (drawn.parent / row.path).read_bytes()
    assert capsys.readouterr().out.count("the same bytes") == 6


def test_a_generator_that_was_trained_again_is_not_taken_for_the_old_one(drawn, tmp_path, capsys):
    stage = tmp_path / "tiny" / "04_wgan_gp"
    stage.rename(tmp_path / "tiny" / "elsewhere")                               # found by its hash, wherever it lies
    name = read_table("synthetic", drawn)["image_id"].iloc[0]
    assert main([str(drawn), name, "--out", str(tmp_path / "again.png")]) == 0
    shutil.rmtree(tmp_path / "tiny" / "elsewhere" / GENERATORS / "melanoma")
    assert main([str(drawn), name]) == 2
    assert "the generator of 04_wgan_gp with the hash" in capsys.readouterr().err
