"""Figures of a review against hand-worked values and counting, the verdict at its limits, and simulated raters kept out."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.curation.review.collect import collect, summarise
from lib.curation.review.errors import ReviewError
from lib.curation.review.key import Key, read_key, review_id, write_key
from lib.curation.review.record import describe, human_scores, merge_scores, people_keep, write_collected
from lib.curation.review.simulate import simulate
from lib.metrics.agreement import fleiss_kappa, icc
from lib.study.review import Review, Scale

CRITERIA = [Scale(name=name, high=5) for name in ("realism", "colour", "texture", "boundary", "artefacts")]
SMALL    = pd.DataFrame({
    "item": [*"abcdef"], "kind": ["generated"] * 4 + ["real"] * 2, "image_id": ["g1", "g2", "g3", "g4", "r1", "r2"],
    "sha256": [f"{i:064x}" for i in range(6)], "label": ["x", "x", "y", "y", "x", "y"], "group": ["I–II"] * 6,
    "generator": ["gan"] * 6, "cluster_id": ["g1", "g2", "g3", "g4", "p1", "p2"],
})
GIVEN    = {"anna": [6, 7, 2, 6, 7, 7], "ben": [5, 7, 4, 6, 6, 7], "cem": [6, 6, 2, 7, 7, 5]}


def small_key(scales=None) -> Key:
    return Key("0123456789ab", list(scales or Review().scales), SMALL, [])


def rated(given=GIVEN, names=("realism",)) -> pd.DataFrame:
    rows = [{"rater": rater, "item": item, **dict.fromkeys(names, value)} for rater, values in given.items()
            for item, value in zip("abcdef", values, strict=True)]
    return pd.DataFrame(rows).astype({name: "Int64" for name in names})


def pick(table: pd.DataFrame, **where) -> pd.Series:
    rows = table.loc[np.logical_and.reduce([table[name] == value for name, value in where.items()])]
    assert len(rows) == 1
    return rows.iloc[0]


def test_means_and_shares_are_those_worked_by_hand():
    found = summarise(rated(), small_key(), Review())
    row = pick(found.means, kind="generated", by="all")
    assert (row["images"], row["ratings"]) == (4, 12)
    assert row["mean"] == pytest.approx(64 / 12) and row["share_under"] == pytest.approx(2 / 12) and row["images_under"] == 0.25
    means = np.array([17 / 3, 20 / 3, 8 / 3, 19 / 3])
    assert (row["low"], row["high"]) == pytest.approx((means.mean() - 3.182446 * means.std(ddof=1) / 2,
                                                       means.mean() + 3.182446 * means.std(ddof=1) / 2), rel=1e-6)       # t, 3 degrees
    assert pick(found.means, kind="generated", by="label", value="y")["mean"] == pytest.approx(27 / 6)
    assert pick(found.means, kind="real", by="all")["mean"] == pytest.approx(39 / 6)


def test_agreement_is_that_of_the_metrics_on_pictures_that_all_rated():
    given = {**GIVEN, "ben": [5, 7, 4, 6, 6, None]}
    found = summarise(rated(given), small_key(), Review()).agreement
    scores = np.array([values[:5] for values in given.values()], dtype=float).T
    assert pick(found, kind="all", statistic="ICC(2,1)")["value"] == pytest.approx(icc(scores)["single"].value)
    assert pick(found, kind="all", statistic="ICC(2,k)")["value"] == pytest.approx(icc(scores)["mean"].value)
    counts = np.array([[list(row).count(point) for point in range(1, 8)] for row in scores])
    assert pick(found, kind="all", statistic="Fleiss kappa")["value"] == pytest.approx(fleiss_kappa(counts))
    assert pick(found, kind="all", statistic="ICC(2,1)")["n"] == 5
    assert pick(found, kind="real", statistic="ICC(2,1)")["reason"] == "3 raters and 1 picture rated by all, needs 2 of each"
    alone = summarise(rated({"anna": GIVEN["anna"]}), small_key(), Review()).agreement
    assert alone["reason"].ne("").all() and alone["value"].isna().all()


def test_whether_raters_can_tell_is_the_share_of_pairs_put_right():
    found = summarise(rated(), small_key(), Review()).can_tell
    for rater, values in GIVEN.items():
        pairs = [(real > drawn) + (real == drawn) / 2 for real, drawn in itertools.product(values[4:], values[:4])]
        assert pick(found, rater=rater)["value"] == pytest.approx(np.mean(pairs))
    everybody = pick(found, rater="all")
    assert everybody["value"] == pytest.approx(found[found["rater"] != "all"]["value"].mean())
    assert 0 <= everybody["low"] < everybody["value"] < everybody["high"] <= 1


@pytest.mark.parametrize(("values", "verdict"), [
    ([5, 5, 5, 6], "accepted"), ([5, 5, 5, 5], "not accepted"), ([7, 7, 7, 2], "not accepted"), ([7, 7, 7, 3], "accepted"),
])
def test_the_verdict_takes_a_mean_above_five_and_few_under_three(values, verdict):
    given = {rater: [*values, 7, 7] for rater in GIVEN}
    assert summarise(rated(given), small_key(), Review()).verdict == verdict
    assert summarise(rated(given), small_key(), Review(acceptance=None)).verdict == "not asked"
    fewer = summarise(rated({"anna": given["anna"]}), small_key(), Review())
    assert fewer.verdict == "not decided" and "1 rater, and curation.review.raters asks for 3" in fewer.reasons
    partly = summarise(rated({rater: [None, *values[1:], 7, 7] for rater in GIVEN}).dropna(), small_key(), Review())
    assert partly.verdict == "not decided" and "3 of 4 generated images are rated" in partly.reasons


def test_scores_of_images_are_means_over_raters_and_criteria():
    names = tuple(scale.name for scale in CRITERIA)
    table = rated({rater: [min(value, 5) for value in values] for rater, values in GIVEN.items()}, names)
    table.loc[0, "colour"] = pd.NA
    review = Review(scales=CRITERIA, acceptance=None)
    scores = summarise(table, small_key(CRITERIA), review).scores().set_index("image_id")
    assert list(scores.index) == ["g1", "g2", "g3", "g4"] and scores["human_raters"].eq(3).all()
    assert scores.loc["g3", "human_texture"] == pytest.approx(8 / 3) == scores.loc["g3", "human_mean"]
    assert scores.loc["g1", "human_colour"] == 5


def test_people_come_into_curated_by_name_and_content_and_simulated_raters_never(tmp_path):
    review = Review(keep=5)
    content = [f"{i:064x}" for i in (3, 2, 99, 0, 9)]
    curated = pd.DataFrame({"image_id": ["g4", "g3", "g2", "g1", "g9"], "sha256": content}, index=[5, 4, 3, 2, 1])
    assert merge_scores(curated, human_scores(tmp_path / "none", review))["human_mean"].isna().all()
    key = small_key()
    write_key(tmp_path, key)
    real = summarise(rated(), key, review)
    invented = summarise(simulate(key, quality={"generated": 0.1, "real": 0.9}), key, review)
    with pytest.raises(ReviewError, match="simulated raters have no say"):
        invented.scores()
    assert [path.name for path in write_collected(tmp_path, invented)] == ["simulated-summary.json"]
    assert human_scores(tmp_path, review).empty
    write_collected(tmp_path, real)
    merged = merge_scores(curated, human_scores(tmp_path, review))
    assert list(merged["image_id"]) == list(curated["image_id"]) and list(merged.index) == list(curated.index)
    assert merged["human_realism"].tolist() == pytest.approx([19 / 3, 8 / 3, np.nan, 17 / 3, np.nan], nan_ok=True)     # g2 was drawn anew
    assert people_keep(merged, review).tolist() == [True, False, True, True, True]
    assert people_keep(merged, Review()).all()
    assert merge_scores(merged, human_scores(tmp_path, review)).equals(merged)
    assert human_scores(tmp_path, Review(scales=CRITERIA, acceptance=None)).empty           # another scale's mean would be another thing


def test_an_image_of_two_reviews_has_the_mean_over_all_raters(tmp_path):
    for name, ratings in (("0" * 12, {"anna": [7] * 6}), ("1" * 12, {"ben": [1] * 6, "cem": [4] * 6})):
        key = Key(name, list(Review().scales), SMALL, [])
        write_key(tmp_path, key)
        write_collected(tmp_path, summarise(rated(ratings), key, Review()))
    assert human_scores(tmp_path, Review())["human_mean"].tolist() == [4.0] * 4


def test_simulated_raters_are_named_in_every_table_and_sentence():
    key = small_key(CRITERIA)
    review = Review(scales=CRITERIA, acceptance={"mean": 3.5, "under": 2})
    ratings = simulate(key, quality={"generated": 0.6, "real": 0.8}, raters=3)
    found = summarise(ratings, key, review)
    assert all(table["simulated"].all() for table in (found.ratings, found.means, found.agreement, found.can_tell))
    assert all(sentence.startswith("Simulated raters: ") for sentence in describe(found))
    assert not any("imulated" in sentence for sentence in describe(summarise(rated(), small_key(), Review())))
    with pytest.raises(ReviewError, match="mixed"):
        summarise(pd.concat([ratings, ratings.assign(rater="anna")]), key, review)
    assert ratings.equals(simulate(key, quality={"generated": 0.6, "real": 0.8}, raters=3))


@settings(max_examples=30, deadline=None)
@given(low=st.integers(0, 8), width=st.integers(1, 9), quality=st.floats(0, 1), seed=st.integers(0, 9))
def test_simulated_ratings_stay_on_the_scale(low, width, quality, seed):
    scale = Scale(name="realism", low=low, high=min(low + width, 9))
    ratings = simulate(small_key([scale]), quality={"generated": quality, "real": 1.0}, seed=seed)
    assert ratings["realism"].isin(scale.points).all() and len(ratings) == 18


def test_better_pictures_get_better_simulated_ratings(make_key):
    key = make_key(images=120)
    ratings = simulate(key, quality={"generated": 0.3, "real": 0.8}).merge(key.items)
    means = ratings.groupby("kind")["realism"].mean()
    assert means["generated"] == pytest.approx(1 + 6 * 0.3, abs=0.5) and means["real"] == pytest.approx(1 + 6 * 0.8, abs=0.5)
    with pytest.raises(ValueError, match="quality lacks real"):
        simulate(key, quality={"generated": 0.5})


def test_files_of_raters_are_joined_with_their_key(make_key, save_ratings, tmp_path):
    key = make_key(tmp_path)
    paths = [save_ratings(tmp_path / f"{name}.csv", key, name, lambda row, scale: 6 if row.kind == "real" else 2) for name in GIVEN]
    found = collect(paths, tmp_path, Review())
    assert found.verdict == "not accepted" and pick(found.can_tell, rater="all")["value"] == 1
    assert found.ratings.groupby("kind")["realism"].unique().map(list).to_dict() == {"generated": [2], "real": [6]}
    other = save_ratings(tmp_path / "d.csv", Key("f" * 12, key.scales, key.items, []), "dan")
    with pytest.raises(ReviewError, match=r"ratings of several pages: .*csv of 0123456789ab, .*d\.csv of f+; collect"):
        collect([*paths, other], tmp_path, Review())
    with pytest.raises(ReviewError, match=r"page 'f{12}', whose key is not in .*keys there: 0123456789ab"):
        collect([other], tmp_path, Review())


def test_the_scales_are_those_of_the_page_whatever_the_study_says_now(make_key, save_ratings, tmp_path):
    key = make_key(tmp_path, scales=[{"name": "realism", "high": 5}], acceptance=None)
    found = collect([save_ratings(tmp_path / "a.csv", key, "anna", 5)], tmp_path, Review(scales=[{"name": "beauty"}]))
    assert found.scales == ["realism"] and found.verdict == "not decided" and "acceptance is about beauty" in found.reasons[0]


def test_the_key_is_kept_whole_and_a_damaged_one_is_named(make_key, tmp_path):
    key = make_key(tmp_path)
    again = read_key(tmp_path, key.review)
    assert again.items.equals(key.items) and again.scales == key.scales
    (tmp_path / f"key-{key.review}.json").write_text('{"review": 1}')
    with pytest.raises(ReviewError, match="is damaged"):
        read_key(tmp_path, key.review)
    with pytest.raises(ReviewError, match="whose key is not in"):
        read_key(tmp_path, "../../secret")


def test_the_id_depends_on_pictures_and_scales_and_not_on_the_order():
    hashes, scales = ["a", "b", "c", "d", "e", "f"], Review().scales
    one = review_id(SMALL, hashes, scales)
    assert one == review_id(SMALL.iloc[::-1], hashes[::-1], scales)
    assert len({one, review_id(SMALL, ["z", *hashes[1:]], scales), review_id(SMALL, hashes, CRITERIA)}) == 3
