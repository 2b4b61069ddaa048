"""GAN images on the path of diffusion: quota, batches, table and journal; an image depends on its own request alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.diffusion.generate import basic_checks, generate
from lib.diffusion.quota import by_class, quota
from lib.diffusion.words import Words
from lib.gan.model import GanModel, load_generators, save_generator
from lib.gan.networks import Generator
from lib.gan.sampler import GanSampler
from lib.gan.studio import GanStudio
from lib.study import Generation, Groups, Prompts
from lib.tables import read_table, write_table
from lib.training.seeds import seeded

LABELS = ["melanoma", "nevus", "dermatofibroma"]
GENERATION = Generation(images=20, over_generation=1, batch_size=4, brightness=(0, 1), minimum_contrast=0)


def make_model(seed, classes, size=32):
    with seeded(seed, "test"):
        generator = Generator(size, latent=8, features=2, classes=len(classes) if len(classes) > 1 else 0)
        generator.image.weight.data *= 20                               # else every image is the same grey
    return GanModel(generator.requires_grad_(False).eval(), tuple(classes), f"{seed:064x}")


@pytest.fixture
def studio():
    """Generators for nevus and dermatofibroma; nevi of two domains."""
    rows = pd.DataFrame({"label": ["nevus", "nevus", "dermatofibroma"], "domain": ["clinical", "dermoscopic", "dermoscopic"]})
    models = {"nevus": make_model(1, ["nevus"]), "dermatofibroma": make_model(2, ["dermatofibroma"])}
    return GanStudio(models, Words(Prompts(by="none"), LABELS, Groups()), [], rows, np.zeros((3, 32, 32, 3), np.uint8))


def run(studio, folder, generation=GENERATION, shard=(0, 1)):
    requests = studio.requests(generation, Groups(), study="demo").shard(*shard)
    return generate(requests, studio.sampler(generation), folder=folder, accept=basic_checks(generation), attempts=1,
                    provenance=studio.provenance())


def test_a_row_says_what_drew_and_invents_nothing(studio, tmp_path):
    table = run(studio, tmp_path).table()
    write_table("synthetic", table, tmp_path / "synthetic.parquet")
    table = read_table("synthetic", tmp_path / "synthetic.parquet")
    assert table["generator"].eq("gan").all() and table["base_model"].eq("wgan-gp").all() and table["accepted"].all()
    assert table.groupby("label")["base_sha256"].unique().map(list).to_dict() == {"nevus": [f"{1:064x}"], "dermatofibroma": [f"{2:064x}"]}
    unknown = ["prompt", "negative_prompt", "steps", "guidance", "scheduler", "start", "tone", "tone_key", "lora_scale"]
    assert table[unknown].isna().all(axis=None)
    assert table.loc[table["label"] == "nevus", "domain"].isna().all()
    assert table.loc[table["label"] == "dermatofibroma", "domain"].eq("dermoscopic").all()
    assert table["image_id"].str.startswith("demo-gan-").all()              # diffusion's of the same cell are called otherwise


def test_an_image_depends_on_its_own_request_alone(studio):
    requests = list(studio.requests(GENERATION, Groups(), study="demo"))
    sampler = studio.sampler(GENERATION)
    drawn = {}
    for start in range(0, len(requests), 4):
        drawn |= dict(zip((one.image_id for one in requests[start:start + 4]), sampler(requests[start:start + 4]), strict=True))
    assert len({image.tobytes() for image in drawn.values()}) == len(requests)
    for request in requests:
        np.testing.assert_array_equal(sampler([request])[0], drawn[request.image_id])
    mixed = [requests[0], requests[-1].__class__(**{**vars(requests[-1]), "slot": 1})]
    assert {one.label for one in mixed} == {"nevus", "dermatofibroma"}
    np.testing.assert_array_equal(sampler(mixed)[0], drawn[requests[0].image_id])


def test_shards_are_the_whole(studio, tmp_path):
    whole = run(studio, tmp_path / "whole").table()
    parts = pd.concat([run(studio, tmp_path / f"{i}", shard=(i, 3)).table() for i in range(3)])
    assert parts["sha256"].tolist() == whole["sha256"].tolist()


def test_each_class_is_drawn_by_its_own_generator_and_a_conditional_one_by_number(studio):
    alone = make_model(1, ["nevus"])
    request = studio.requests(GENERATION, Groups(), study="demo")[0]
    assert request.label == "nevus"
    np.testing.assert_array_equal(GanSampler({"nevus": alone}, GENERATION)([request])[0], studio.sampler(GENERATION)([request])[0])
    both = make_model(3, ["dermatofibroma", "nevus"])
    both.generator.norms[0].offset.weight.data[1] += 3
    sampler = GanSampler({"nevus": both, "dermatofibroma": both}, GENERATION)
    other = request.__class__(**{**vars(request), "cell": type(request.cell)("dermatofibroma"), "slot": 1})
    nevus, fibroma = sampler([request, other])
    assert (nevus != fibroma).any()
    np.testing.assert_array_equal(sampler([other])[0], fibroma)


def test_what_cannot_be_drawn_is_told(studio):
    requests = list(studio.requests(GENERATION, Groups(), study="demo"))
    with pytest.raises(ValueError, match=r"4 places, one for each request; got slots \[0, 0\]"):
        studio.sampler(GENERATION)([requests[0], requests[4]])
    with pytest.raises(ValueError, match="no generator draws nevus; there are some for melanoma"):
        GanSampler({"melanoma": make_model(0, ["melanoma"])}, GENERATION)([requests[0]])
    with pytest.raises(ValueError, match=r"images of 2 sizes \(32, 64 px\)"):
        GanSampler({"a": make_model(0, ["a"]), "b": make_model(0, ["b"], 64)}, GENERATION)
    with pytest.raises(ValueError, match=r"asks for no image of nevus, dermatofibroma"):
        studio.requests(GENERATION.model_copy(update={"classes": {"melanoma": 1.0}}), Groups(), study="demo")


def test_new_weights_are_not_taken_for_the_old_ones(studio, tmp_path):
    first = run(studio, tmp_path).table()
    kept = run(studio, tmp_path).table()
    assert kept["sha256"].tolist() == first["sha256"].tolist()
    changed = GanStudio({**studio.models, "nevus": make_model(9, ["nevus"])}, studio.words, [], studio.rows, studio.pixels)
    again = run(changed, tmp_path).table()
    assert (again["sha256"] != first["sha256"])[again["label"] == "nevus"].all()


def test_the_quota_of_a_class_is_the_sum_of_its_tones():
    generation = Generation(images=11, over_generation=1, tones={"5": 0.7, "6": 0.3})
    cells = by_class(quota(generation, LABELS, ["5", "6"]), LABELS)
    assert cells["images"].sum() == 11 and cells["label"].tolist() == LABELS and cells["tone"].isna().all()
    counts = Generation(cells={"nevus": {"5": 3, "6": 4}, "melanoma": {"6": 2}}, over_generation=1)
    some = by_class(quota(counts, LABELS, ["5", "6"]), ["nevus", "dermatofibroma"])
    assert some[["label", "images"]].values.tolist() == [["nevus", 7]]
    assert by_class(quota(counts, LABELS, ["5", "6"]), []).empty


def test_what_was_saved_draws_the_same(studio, tmp_path):
    for label, model in studio.models.items():
        save_generator(tmp_path / label, model.generator, {}, [label])
    models = load_generators(tmp_path)
    requests = list(studio.requests(GENERATION, Groups(), study="demo"))[:4]
    for one, other in zip(GanSampler(models, GENERATION)(requests), studio.sampler(GENERATION)(requests), strict=True):
        np.testing.assert_array_equal(one, other)
