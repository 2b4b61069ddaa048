"""The judge's tables on answers that are known, and its figures of variety on sets that are known to be alike or narrow."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib.diffusion.base.agreement import DRAWN, agreement, skin_tones, tone_errors
from lib.diffusion.base.judge import diversity, draw_phantoms, judge
from lib.phantom.lesions import USUAL

DIAGNOSES = {"melanoma": ["melanoma"], "harmless": ["nevus", "seborrheic_keratosis"]}


class Oracle:
    """Says melanoma for a red picture and one of two harmless diagnoses otherwise; tone by brightness."""

    def judge(self, pixels):
        red = pixels[..., 0].mean(axis=(1, 2)) > pixels[..., 2].mean(axis=(1, 2)) + 40
        probability = np.zeros((len(pixels), len(USUAL)), np.float32)
        probability[:, USUAL.index("melanoma")] = np.where(red, 0.5, 0.4)
        probability[:, USUAL.index("nevus")] = np.where(red, 0.3, 0.3)
        probability[:, USUAL.index("seborrheic_keratosis")] = np.where(red, 0.1, 0.25)
        return SimpleNamespace(diagnosis_probability=probability, tone=np.where(pixels.mean(axis=(1, 2, 3)) > 120, 1, 6))


class Encoder:
    """Sees colour and the four quarters' brightness."""

    name = "plain"

    def embed(self, pixels):
        return pixels.reshape(len(pixels), 4, -1, 3).mean(axis=2).reshape(len(pixels), -1) / 255

    def feature_maps(self, pixels):
        return [pixels.reshape(len(pixels), 16, -1).astype(float)]


def flat(colour, n=1):
    return np.broadcast_to(np.array(colour, np.uint8), (n, 64, 64, 3)).copy()


def test_labels_with_several_diagnoses_add_up():
    pixels = np.concatenate([flat((220, 150, 120)), flat((150, 140, 140)), flat((60, 40, 30))])
    asked = pd.DataFrame({"variant": "base", "start": "plain", "label": ["melanoma", "melanoma", "harmless"], "tone": [1, 1, 5],
                          "domain": "clinical"})
    judged = judge(Oracle(), pixels, asked, DIAGNOSES)
    assert judged["said_label"].tolist() == ["melanoma", "harmless", "harmless"]       # 0.3 + 0.25 is more than 0.4
    assert judged["said_tone"].tolist() == [1, 1, 6]
    assert judged["ita"].iloc[0] > 0 > judged["ita"].iloc[2]


def table(rows):
    """variant, start, label, tone, said_label, said_tone, ita; repeated `times`."""
    frame = pd.DataFrame(rows, columns=["variant", "start", "label", "tone", "said_label", "said_tone", "ita", "times"])
    return frame.loc[frame.index.repeat(frame["times"])].drop(columns="times").reset_index(drop=True)


JUDGED = table([
    (DRAWN, DRAWN, "a", 1, "a", 1, 50.0, 9), (DRAWN, DRAWN, "a", 1, "b", 2, 52.0, 1),          # ceiling 0.9, 0.9
    (DRAWN, DRAWN, "b", 1, "b", 1, 50.0, 10),                                                  # ceiling 1, 1
    (DRAWN, DRAWN, "a", 6, "a", 6, -50.0, 4), (DRAWN, DRAWN, "b", 6, "b", 5, -50.0, 4),
    ("base", "plain", "a", 1, "a", 1, 40.0, 1), ("base", "plain", "a", 1, "b", 1, 44.0, 3),    # 0.25, 1
    ("base", "plain", "b", 1, "b", 1, 44.0, 12),                                               # 1, 1
    ("base", "plain", "a", 6, "a", 6, -20.0, 4), ("base", "plain", "b", 6, "a", 6, -20.0, 4),
    ("base", "anchored", "a", 1, "a", 1, 49.0, 5), ("base", "anchored", "a", 6, "a", 6, -55.0, 5),
])


def test_every_cell_counts_alike():
    found = agreement(JUDGED).set_index(["variant", "start", "part"])
    row = found.loc[("base", "plain", "I–IV")]
    assert (row["images"], row["label_agrees"], row["tone_agrees"]) == (16, (0.25 + 1) / 2, 1)
    assert (row["label_ceiling"], row["tone_ceiling"]) == (pytest.approx(0.95), pytest.approx(0.95))
    assert row["label_ratio"] == pytest.approx(0.625 / 0.95)
    dark = found.loc[("base", "plain", "V–VI")]
    assert (dark["label_agrees"], dark["label_ratio"], dark["tone_ratio"]) == (0.5, 0.5, 2)    # the oracle itself misses half the types
    assert DRAWN not in found.index.get_level_values("variant")


@pytest.mark.parametrize(("by", "parts"), [("tone", {1, 6}), ("label", {"a", "b"}), ("band", {"I–IV", "V–VI"})])
def test_parts(by, parts):
    assert set(agreement(JUDGED, by)["part"]) == parts


def test_skin_is_compared_with_drawn_phantoms_of_the_type():
    tones = skin_tones(JUDGED).set_index(["start", "tone"])
    assert tones.loc[("plain", 1), ["asked", "obtained", "error"]].tolist() == [50, 44, -6]
    assert tones.loc[("plain", 6), "error"] == 30
    errors = tone_errors(skin_tones(JUDGED)).set_index("start")["error"]
    assert errors["plain"] == pytest.approx(18)
    assert errors["anchored"] == pytest.approx((1 + 5) / 2)


def noise(n, seed, spread=60):
    rng = np.random.default_rng(seed)
    return (128 + rng.uniform(-spread, spread, (n, 4, 4, 3))).clip(0, 255).astype(np.uint8).repeat(16, axis=1).repeat(16, axis=2)


def test_alike_is_one_and_collapsed_is_little():
    def rows(variant, n):
        start = DRAWN if variant == DRAWN else "plain"
        return pd.DataFrame({"variant": variant, "start": start, "label": ["a", "b"] * (n // 2), "tone": 6})

    asked = pd.concat([rows(DRAWN, 120), rows("alike", 60), rows("collapsed", 60)], ignore_index=True)
    collapsed = noise(2, 9).repeat(30, axis=0) // 2 * 2 + np.random.default_rng(0).integers(0, 2, (60, 1, 1, 3)).astype(np.uint8)
    found = diversity(asked, np.concatenate([noise(120, 0), noise(60, 1), collapsed]), Encoder()).set_index("variant")
    assert set(found["part"]) == {"V–VI"}
    assert found.loc["alike", "coverage_ratio"] == pytest.approx(1, abs=0.15)
    assert found.loc["alike", "distance_ratio"] == pytest.approx(1, abs=0.15)
    assert found.loc["collapsed", "coverage_ratio"] < 0.3
    assert found.loc["alike", "images"] == 60


def test_drawn_phantoms_are_dealt_evenly_over_what_the_study_asks(tmp_path):
    pixels, asked = draw_phantoms(2, DIAGNOSES, cache=tmp_path)
    assert pixels.shape == (len(asked), 64, 64, 3)
    counts = asked.groupby(["label", "tone"]).size()
    assert counts["melanoma"].tolist() == [2] * 6                       # one diagnosis
    assert counts["harmless"].tolist() == [4] * 6                       # two of them
    assert set(asked["variant"]) == {DRAWN}


def test_a_label_that_the_oracle_cannot_know():
    with pytest.raises(ValueError, match="burn"):
        judge(Oracle(), flat((0, 0, 0)), pd.DataFrame(), {"burn": ["burn"]})
