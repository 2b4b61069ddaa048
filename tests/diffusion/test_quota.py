"""Quotas: exact totals, no cell off by a whole image, the spec's own table, and names that do not exist."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.diffusion.quota import domain_shares, largest_remainder, quota
from lib.study import Generation

CLASSES = ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc"]
TONES = ["1", "2", "3", "4", "5", "6"]
SPEC = {"1": 0.10, "2": 0.10, "3": 0.15, "4": 0.15, "5": 0.25, "6": 0.25}


def test_the_spec_s_table():
    table = quota(Generation(images=60_000, over_generation=1.5, tones=SPEC), CLASSES, TONES)
    assert len(table) == 42 and table["images"].sum() == 90_000
    by_tone = table.groupby("tone")["images"].sum()
    assert by_tone.to_dict() == pytest.approx({tone: 90_000 * share for tone, share in SPEC.items()}, abs=7)
    exact = table["tone"].map(SPEC) * 90_000 / 7
    assert (table["images"] - exact).abs().max() < 1
    assert list(table["label"].unique()) == CLASSES and list(table["tone"][:6]) == TONES


@given(st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=40).filter(any), st.integers(0, 10**6))
def test_parts_sum_to_the_total_and_stay_within_one_of_their_exact_size(shares, total):
    counts = largest_remainder(shares, total)
    assert sum(counts) == total
    exact = [share * total / math.fsum(shares) for share in shares]
    assert all(abs(count - part) < 1 + 1e-6 * total for count, part in zip(counts, exact, strict=True))
    assert all(count == 0 for count, share in zip(counts, shares, strict=True) if share == 0)


def test_over_generation_is_taken_as_it_is_written():
    assert quota(Generation(images=100, over_generation=1.1), ["a", "b"], [])["images"].sum() == 110      # 100 × 1.1 > 110 in floats
    assert quota(Generation(images=7, over_generation=1.5), ["a", "b"], [])["images"].tolist() == [6, 5]


def test_exact_cells_keep_their_counts():
    cells = {"mel": {"6": 5, "5": 2}, "df": {"1": 3}}
    table = quota(Generation(cells=cells, over_generation=1), CLASSES, TONES)
    assert table.values.tolist() == [["mel", "5", 2], ["mel", "6", 5], ["df", "1", 3]]
    assert quota(Generation(cells=cells, over_generation=2), CLASSES, TONES)["images"].tolist() == [4, 10, 6]


def test_without_tones_a_cell_is_a_label():
    table = quota(Generation(images=5, over_generation=1, classes={"nv": 1, "mel": 3}), CLASSES, [])
    assert table["label"].tolist() == ["mel", "nv"] and table["tone"].isna().all() and table["images"].tolist() == [4, 1]


def test_names_that_the_study_does_not_have():
    with pytest.raises(ValueError, match="did you mean mel"):
        quota(Generation(classes={"mell": 1}), CLASSES, TONES)
    with pytest.raises(ValueError, match="tone of generation is called 'VI'"):
        quota(Generation(tones={"VI": 1}), CLASSES, TONES)
    with pytest.raises(ValueError, match="knows no tones"):
        quota(Generation(cells={"mel": {"6": 5}}), CLASSES, [])


def test_domains_are_those_of_the_study_or_of_its_words():
    trained, known = ["clinical", "dermoscopic", "dermoscopic"], ["dermoscopic", "clinical", "smartphone"]
    assert domain_shares(Generation(), trained, known) == {"dermoscopic": 2 / 3, "clinical": 1 / 3}
    assert domain_shares(Generation(domains={"smartphone": 1}), trained, known) == {"smartphone": 1}
    with pytest.raises(ValueError, match=r"no domain of generation is called 'dermoscopy'; did you mean dermoscopic\? known: dermoscopic"):
        domain_shares(Generation(domains={"clinical": 1, "dermoscopy": 1}), trained, known)
    assert domain_shares(Generation(domains={"dermoscopy": 1}), trained, [*known, "dermoscopy"]) == {"dermoscopy": 1}
