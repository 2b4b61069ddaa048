"""The oracle: the shipped one is as good on fresh pictures as its card says, and it judges each picture by itself."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lib.diffusion.base import oracle as module
from lib.diffusion.base import pool as pools
from lib.diffusion.base.oracle import Network, Oracle, build, ceiling, fit, from_units, measure, to_units
from lib.diffusion.base.pool import SEED_HELD_OUT, draw_pool
from lib.phantom.lesions import USUAL
from lib.phantom.tone import MELANOSOME_EDGES

ANSWERS = ("diagnosis", "tone", "tone_within_one")


@pytest.fixture(scope="module")
def fresh():
    return draw_pool("fresh", 420, seed=SEED_HELD_OUT, workers=1, cache=None)


@pytest.fixture(scope="module")
def shipped():
    return Oracle.load()


def test_the_shipped_oracle_is_as_good_on_fresh_pictures_as_its_ceilings_say(shipped, fresh):
    found, said = measure(shipped, fresh), ceiling()
    for answer in ANSWERS:
        share = said[answer]["all"]
        assert abs(found[answer]["all"] - share) <= 4 * np.sqrt(share * (1 - share) / len(fresh)) + 1e-3
    assert said["diagnosis"]["all"] > 0.6 and said["tone"]["all"] > 0.85 and said["tone_within_one"]["all"] > 0.98


def test_the_shipped_oracle_measures_melanin(shipped, fresh):
    error = np.log(shipped.judge(fresh.pixels).melanin) - np.log(fresh.scenes["melanin"])
    assert np.median(np.abs(error)) < 0.12 and abs(np.median(error)) < 0.05


def test_a_judgement_is_whole_and_its_parts_agree(shipped, fresh):
    said = shipped.judge(fresh.pixels[:50])
    assert said.diagnosis_probability.shape == (50, 7) and said.tone_probability.shape == (50, 6) and said.melanin.shape == (50,)
    for share in (said.diagnosis_probability, said.tone_probability):
        assert np.allclose(share.sum(axis=1), 1, atol=1e-5)
    assert said.diagnosis.tolist() == [USUAL[column] for column in said.diagnosis_probability.argmax(axis=1)]
    assert np.array_equal(said.tone, said.tone_probability.argmax(axis=1) + 1)


def test_neither_batch_size_nor_company_nor_order_changes_a_judgement(shipped, fresh):
    whole = shipped.judge(fresh.pixels[:40]).diagnosis_probability
    assert np.allclose(shipped.judge(fresh.pixels[:40], batch=7).diagnosis_probability, whole, atol=1e-5)
    assert np.allclose(shipped.judge(fresh.pixels[:40][::-1]).diagnosis_probability[::-1], whole, atol=1e-5)
    assert np.allclose(shipped.judge(fresh.pixels[3:4]).diagnosis_probability[0], whole[3], atol=1e-5)


def test_no_picture_no_judgement(shipped):
    said = shipped.judge(np.zeros((0, 64, 64, 3), np.uint8))
    assert len(said.diagnosis) == len(said.tone) == len(said.melanin) == 0 and said.tone_probability.shape == (0, 6)


@pytest.mark.parametrize("shape, kind", [
    ((2, 32, 32, 3), np.uint8), ((2, 64, 64, 3), np.float32), ((64, 64, 3), np.uint8), ((2, 3, 64, 64), np.uint8),
])
def test_other_pixels_are_refused(shipped, shape, kind):
    with pytest.raises(ValueError, match=r"uint8 \[N, 64, 64, 3\].*resize"):
        shipped.judge(np.zeros(shape, kind))


def test_a_missing_oracle_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lib\.diffusion\.base\.build phantom-oracle"):
        Oracle.load(tmp_path)


def test_measured_shares_are_those_counted_by_hand(shipped, fresh):
    said, table = shipped.judge(fresh.pixels), measure(shipped, fresh)
    diagnosis, tone = fresh.scenes["diagnosis"].to_numpy(), fresh.scenes["tone"].to_numpy()
    assert table["images"] == 420
    for number in range(1, 7):
        rows = np.flatnonzero(tone == number)
        assert table["diagnosis"]["by_tone"][str(number)] == round(np.mean(said.diagnosis[rows] == diagnosis[rows]), 4)
    for name in USUAL:
        rows = np.flatnonzero(diagnosis == name)
        assert table["tone_within_one"]["by_diagnosis"][name] == round(np.mean(np.abs(said.tone[rows] - tone[rows]) <= 1), 4)


def test_units_of_melanin_go_there_and_back():
    edges = torch.tensor(MELANOSOME_EDGES)
    units = to_units(edges)
    assert units[0].item() == pytest.approx(-1, abs=1e-5) and units[-1].item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(from_units(units), edges, rtol=1e-4) and (units.diff() > 0).all()


def test_training_takes_the_loss_down_and_repeats(fresh, tmp_path):
    first, outcome = fit(fresh, steps=8, batch=16, state=tmp_path / "a", seed=1)
    again, _ = fit(fresh, steps=8, batch=16, state=tmp_path / "b", seed=1)
    assert all(torch.equal(left, right) for left, right in zip(first.parameters(), again.parameters(), strict=True))
    assert outcome.steps == 8 and outcome.loss < np.log(7) + np.log(6) + 0.5


def test_build_writes_what_load_and_ceiling_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pools, "HELD_OUT", 42)
    for name, value in {"_IMAGES": 42, "_STEPS": 2, "_BATCH": 8}.items():
        monkeypatch.setattr(module, name, value)
    table = build(tmp_path / "made", workers=1)
    assert ceiling(tmp_path / "made") == table and table["images"] == 42
    weights = load_file(tmp_path / "made" / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16} and set(weights) == set(Network().state_dict())
    assert Oracle.load(tmp_path / "made").judge(np.zeros((1, 64, 64, 3), np.uint8)).tone.shape == (1,)
    assert "42 pictures of types I to VI" in (tmp_path / "made" / "card.md").read_text(encoding="utf-8")
    assert not (tmp_path / "outputs" / ".state" / "phantom-oracle").exists()
