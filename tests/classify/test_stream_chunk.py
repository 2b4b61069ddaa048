"""From a study to what draws: which models are used, what decides the images, and that 05's own command makes each of them again."""

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.classify.grid import Cell
from lib.classify.stream_chunk import open_streams
from lib.classify.stream_worker import open_drawer
from lib.diffusion.regenerate import main
from lib.gan.model import save_generator
from lib.gan.networks import Generator
from lib.gan.studio import GENERATORS
from lib.study import Compute, Diffusion, Gan, Generation, Groups, Prompts
from lib.study.work import Classifier
from lib.tables import write_table
from lib.training.runtime import prepare_machine
from lib.training.seeds import seeded

LABELS = ["melanoma", "nevus"]
CELLS  = [Cell("gan_uncurated+on_the_fly", "small_cnn", seed) for seed in (0, 1)]


class Direct:
    """Draws in the test's own process."""

    def __init__(self, draw):
        self.draw = draw

    def ask(self, name, what):
        self.draw({"name": name, **what})

    def asked(self, name):
        return False

    def wait(self, name):
        pass

    def close(self):
        pass


@pytest.fixture
def world(tmp_path):
    """Outputs of a study with a trained GAN for each of two classes, and everything that `open_streams` takes; `changes` go into it."""
    prepare_machine(Compute(device="cpu"))
    home = tmp_path / "tiny"
    rows = []
    for number in range(8):
        picture = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        (home / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path := home / "images" / f"{number}.png")
        label = LABELS[number % 2]
        rows.append({
            "image_id": f"i{number}", "path": path.name, "dataset": "toy", "domain": "clinical", "label": label, "diagnosis": label,
            "tone": 5, "group": "V–VI", "patient_id": f"p{number}", "lesion_id": f"l{number}", "cluster_id": f"c{number}",
            "split": ("train", "train", "validation", "test")[number // 2], "mask_path": None, "ita": 0.0, "width": 32, "height": 32,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        })
    rows += [{**row, "image_id": f"{row['image_id']}b", "patient_id": f"q{row['patient_id']}", "cluster_id": f"d{row['cluster_id']}"}
             for row in rows if row["split"] == "train"]
    samples = pd.DataFrame(rows).astype({"tone": "Int8", "width": "Int32", "height": "Int32"})
    (home / "study.yaml").write_text("name: tiny\n", encoding="utf-8")
    config = {"options": Gan(image_size=32, crop="whole").model_dump(mode="json")}
    for seed, label in enumerate(LABELS):
        with seeded(seed, "test"):
            generator = Generator(32, latent=8, features=2, classes=0).eval()
            generator.image.weight.data *= 20                       # else every image is the same grey
        save_generator(home / "04_wgan_gp" / GENERATORS / label, generator, config, [label])
    used = []

    def models(stage):
        used.append(stage)
        return home / stage

    def opened(*, cells=CELLS, samples=samples, code="code", epochs=3, stream=None, diffusion=None, **generation):
        given = {"images": 40, "over_generation": 1, "batch_size": 4, "brightness": (0, 1), "minimum_contrast": 0, **generation}
        study = SimpleNamespace(
            name="tiny", labels=SimpleNamespace(names=LABELS), groups=Groups(), compute=Compute(device="cpu"), diffusion=diffusion,
            gan=Gan(), generation=Generation(**given), data=SimpleNamespace(crop="whole", remove_hair=False),
            classifier=Classifier(epochs=epochs, mixing={"stream": {"block": 6, "cache": 10, **(stream or {})}}),
        )
        return open_streams(cells, samples, study, size=16, roots={"toy": home / "images"}, models=models, cache=tmp_path / "cache",
                            work=tmp_path / "work", fingerprint=lambda module: f"{code} of {module}")

    return SimpleNamespace(home=home, samples=samples, opened=opened, used=used)


def test_each_image_can_be_made_again_by_the_command_of_05(world, tmp_path, capsys):
    streams = world.opened()
    setting = json.loads((tmp_path / "work" / CELLS[0].name / "stream" / "setting.json").read_text(encoding="utf-8"))
    streams.source = replace(streams.source, worker=Direct(open_drawer(setting)))
    for cell in CELLS:
        for epoch in range(3):
            block = streams.of(cell).block(epoch, {})
            assert block.generator == "gan" and block.pixels.shape == (min(10, 6 * (epoch + 1)), 16, 16, 3)
        streams.end(cell, 3)
    folder = world.home / "07_classifier" / "chunk" / "drawn"
    table = streams.table(folder)
    write_table("synthetic", table, folder / "synthetic.parquet")
    assert len(table) == 36 and set(table["label"]) == set(LABELS) and table["image_id"].str.startswith("tiny-gan_uncurated").all()
    assert table["sha256"].nunique() == 36
    for row in table.iloc[::17].itertuples():
        assert main([str(folder / "synthetic.parquet"), row.image_id, "--out", str(tmp_path / "again.png")]) == 0
        assert (tmp_path / "again.png").read_bytes() == (folder / row.path).read_bytes()
    assert "not the bytes" not in capsys.readouterr().out
    assert world.used == ["04_wgan_gp"]


def test_what_decides_the_images_and_nothing_else_is_in_the_mark(world):
    first = world.opened()
    same = [world.opened(), world.opened(epochs=9), world.opened(cells=CELLS[:1]), world.opened(shards=4)]
    assert {one.source.mark for one in same} == {first.source.mark} and {one.mark for one in same} == {first.mark}
    longer = world.opened(stream={"cache": 30})
    assert longer.source.mark == first.source.mark and longer.mark != first.mark        # no image changes, but what is trained on does
    others = [world.opened(seed=1), world.opened(attempts=1), world.opened(classes={"nevus": 1}), world.opened(code="other"),
              world.opened(stream={"block": 7}), world.opened(samples=world.samples.assign(sha256="0" * 64)),
              world.opened(cells=[Cell("gan_curated+hybrid", "small_cnn", 0)])]
    weights = world.home / "04_wgan_gp" / GENERATORS / "nevus" / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])
    marks = [one.source.mark for one in [first, *others, world.opened()]]
    assert len(set(marks)) == len(marks) - 1 and marks[0] == others[-1].source.mark      # hybrid asks otherwise and draws the same


@pytest.mark.parametrize(("generation", "used"), [({}, ["03_lora"]), ({"use_lora": False}, ["02_textual_inversion"]),
                                                  ({"use_lora": False, "use_tokens": False}, [])])
def test_an_arm_of_diffusion_uses_the_models_of_02_and_03(world, generation, used):
    cells = [Cell("diffusion_curated+hybrid", "small_cnn", 0)]
    streams = world.opened(cells=cells, diffusion=Diffusion(prompts=Prompts()), **generation)
    assert world.used == used and streams.source.hybrid and streams.source.generator == "diffusion"
    assert set(streams.source.cells["tone"]) == set("123456")


def test_other_arms_open_nothing(world):
    assert world.opened(cells=[Cell("gan_curated", "small_cnn", 0)]) is None
    assert world.used == []
