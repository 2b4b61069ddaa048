"""What notebook 06 shows of raters: people's summaries as they were written, invented raters only of phantoms, and never in a file."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from lib.curation.review.collect import collect
from lib.curation.review.errors import ReviewError
from lib.curation.review.record import describe, write_collected
from lib.curation.review.shown import shown_reviews
from lib.study.review import Review

TABLES = ("means", "agreement", "can_tell")


@pytest.fixture
def rated(make_key, save_ratings, tmp_path):
    """Three people's ratings, collected: generated pictures 4 and 5, real ones 6."""
    key = make_key(tmp_path)
    value = lambda row, _: 6 if row.kind == "real" else 4 + row.Index % 2                            # noqa: E731
    found = collect([save_ratings(tmp_path / f"{name}.csv", key, name, value) for name in ("anna", "ben", "cem")], tmp_path, Review())
    write_collected(tmp_path, found)
    return found


@pytest.mark.parametrize("phantoms", [True, False])
def test_people_are_shown_as_they_were_collected(rated, curated, held_out, tmp_path, phantoms):
    shown = shown_reviews(tmp_path, curated, held_out, Review().scales, phantoms=phantoms)
    assert not shown.simulated and shown.sentences == describe(rated)
    for name in TABLES:
        table, wanted = getattr(shown, name), getattr(rated, name)
        assert len(table) == len(wanted) and table["review"].eq(rated.review).all() and not table["simulated"].any()
        for column in {"mean", "value", "low", "high", "n"} & set(wanted.select_dtypes("number")):
            np.testing.assert_allclose(table[column], wanted[column].astype(float), err_msg=f"{name}.{column}")


def test_invented_raters_stand_for_nobody_and_only_of_phantoms(curated, held_out, tmp_path):
    before = curated.copy()
    shown = shown_reviews(tmp_path / "none", curated, held_out, Review().scales, phantoms=True)
    assert shown.simulated and all(sentence.startswith("Simulated raters: ") for sentence in shown.sentences)
    assert not any("Verdict" in sentence for sentence in shown.sentences)
    assert all(getattr(shown, name)["simulated"].all() and getattr(shown, name)["review"].eq("simulated").all() for name in TABLES)
    assert curated.equals(before) and not list(tmp_path.rglob("*"))
    nobody = shown_reviews(tmp_path / "none", curated, held_out, Review().scales, phantoms=False)
    assert nobody.means.empty and not nobody.simulated and nobody.sentences == ["Nobody has rated these images."]


def test_nothing_simulated_or_damaged_is_taken_for_people(rated, curated, held_out, tmp_path):
    path = next(tmp_path.glob("summary-*.json"))
    whole = path.read_text()
    for content in (whole.replace('"simulated": false', '"simulated": true', 1), whole[:200], "[]"):
        path.write_text(content)
        with pytest.raises(ReviewError, match=rf"{path.name} is damaged \(.+\); collect its ratings again"):
            shown_reviews(tmp_path, curated, held_out, Review().scales, phantoms=True)


def test_keep_is_a_limit_on_one_range():
    mixed = [{"name": "realism"}, {"name": "colour", "high": 5}]
    assert Review(scales=mixed, acceptance=None).keep is None
    with pytest.raises(ValidationError, match=r"differ in range \(realism 1 to 7, colour 1 to 5\); give all the same low and high"):
        Review(scales=mixed, keep=3)
    assert Review(scales=[{"name": "realism"}, {"name": "colour"}], keep=3).keep == 3
    with pytest.raises(ValidationError, match="keep is 9, and the scales run from 1 to 7"):
        Review(keep=9)
