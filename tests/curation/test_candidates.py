"""Candidates from a study's tables: who is looked at, at which size, and what is said when files are not there."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.curation.candidates import Candidates, Encoders, open_candidates
from lib.data.errors import DataError
from lib.data.pixels import square_pixels
from lib.study import Curation, Data, Diffusion, Gan, Groups

SIDE = 32


@pytest.fixture
def world(tmp_path, small_pool):
    """Twelve real images (train, validation, test) and six generated ones, on disk."""
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    def save(name: str, place: int, kind: str) -> str:
        path = tmp_path / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small_pool.pixels[place]).resize((48, 40) if kind == "real" else (SIDE, SIDE)).save(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    samples = pd.DataFrame([{
        "image_id": f"r{i}", "path": f"r{i}.png", "dataset": "clinic", "domain": "clinical", "label": "ab"[i % 2], "tone": 1 + i % 6,
        "group": ["I–II", "III–IV", "V–VI"][i % 6 // 2], "cluster_id": f"c{i // 2 * 2 if split == 'train' else i}", "split": split,
        "sha256": save(f"r{i}.png", i, "real"), "mask_path": None,
    } for i, split in enumerate(splits)]).astype({"tone": "Int8"})
    synthetic = pd.DataFrame([{
        "image_id": f"g{5 - i}", "path": f"chunk/g{5 - i}.png", "generator": "diffusion", "label": "ab"[i % 2], "tone_key": "5",
        "group": "V–VI", "domain": "clinical", "accepted": True, "width": SIDE, "height": SIDE,
        "sha256": save(f"chunk/g{5 - i}.png", 20 + i, "drawn"),
    } for i in range(6)])
    study = SimpleNamespace(curation=Curation(), gan=Gan(crop="whole"), diffusion=Diffusion(), groups=Groups(),
                            labels=SimpleNamespace(names=["a", "b"]),
                            data=Data(sources=[{"dataset": "image_folder", "name": "clinic"}]))
    def opened(**options):
        tables = {"samples": samples, "synthetic": synthetic, "study": study} | options
        return open_candidates(tables["samples"], tables["synthetic"], {"clinic": tmp_path / "real"}, tables["study"], tmp_path / "drawn",
                               cache=tmp_path / "cache", generator=options.get("generator"))
    return SimpleNamespace(samples=samples, synthetic=synthetic, study=study, open=opened, folder=tmp_path)


def test_train_and_validation_are_looked_at_and_test_never(world):
    material = world.open()
    assert material.train.table["image_id"].tolist() == [f"r{i}" for i in range(6)]
    assert material.held_out.table["image_id"].tolist() == ["r6", "r7", "r8"]
    assert material.generated.table["image_id"].tolist() == [f"g{i}" for i in range(6)]
    assert {material.train.size, material.held_out.size, material.generated.size} == {SIDE}
    with Image.open(world.folder / "real" / "r7.png") as picture:
        assert np.array_equal(material.held_out.pixels[1], square_pixels(picture.convert("RGB"), SIDE)[0])
    with Image.open(world.folder / "drawn" / "chunk" / "g2.png") as picture:
        assert np.array_equal(material.generated.pixels[2], np.asarray(picture))


def test_real_images_are_described_as_if_they_had_been_asked_for(world):
    material = world.open()
    assert material.held_out.table["tone_key"].tolist() == ["1", "2", "3"]
    assert material.held_out.table["generator"].isna().all() and material.generated.table["cluster_id"].isna().all()
    assert material.generated.prompts[0].tolist() == [f"a clinical photo of {label} on fitzpatrick type v skin" for label in "ab"]
    assert material.generated.cells[0] == ("b", "5") and material.generated.clusters[0] == "g0"


def test_a_gan_is_asked_for_no_tone(world):
    material = world.open(synthetic=world.synthetic.assign(generator="gan", tone_key=None))
    assert material.train.table["tone_key"].isna().all()
    assert material.train.cells[0] == ("a", None)


def test_vectors_are_those_of_the_encoder_and_are_kept(world, cheap):
    material = world.open()
    for side in (material.train, material.generated):
        side.encoders = Encoders(loaded={"colours": cheap("colours")}, fallback=None)
    seen = material.train.vectors("colours")
    assert np.array_equal(seen, cheap("colours").embed(np.asarray(material.train.pixels)))
    part = material.train.take(np.array([3, 1]))
    assert np.array_equal(part.vectors("colours"), seen[[3, 1]]) and part.table["image_id"].tolist() == ["r3", "r1"]
    assert len(material.train.take(np.array([True] + [False] * 5))) == 1


def test_an_encoder_out_of_reach_is_replaced_and_the_report_is_told(tmp_path):
    encoders = Encoders(fallback="spectrum")
    assert encoders(str(tmp_path / "nowhere")).name == "spectrum"
    assert len(encoders.notes) == 1 and "spectrum judges in place of" in encoders.notes[0]


def test_what_is_not_there_is_told(world):
    with pytest.raises(ValueError, match=r"no accepted image to look at; run 05_generation"):
        world.open(synthetic=world.synthetic.assign(accepted=False))
    both = pd.concat([world.synthetic, world.synthetic.assign(generator="gan")])
    with pytest.raises(ValueError, match=r"images of diffusion and gan; curate them one generator at a time"):
        world.open(synthetic=both)
    with pytest.raises(ValueError, match=r"no held-out real image"):
        world.open(samples=world.samples[world.samples["split"] != "validation"])
    (world.folder / "drawn" / "chunk" / "g3.png").write_bytes(b"other")
    with pytest.raises(DataError, match=r"g3: .*is not the file that was written; run 05_generation again"):
        world.open()


def test_table_and_pictures_belong_together(small_pool, make_candidates, cheap):
    made = make_candidates(small_pool, np.arange(4), cheap)
    with pytest.raises(ValueError, match=r"4 rows and 3 pictures"):
        Candidates(made.table, made.pixels[:3], cheap)
    with pytest.raises(ValueError, match=r"lacks sha256"):
        Candidates(made.table.drop(columns="sha256"), made.pixels, cheap)
