"""Sources that share images are refused with a reason and a way out."""

import pytest

from lib.data.info import INFO
from lib.data.pools import OVERLAPS, check_pools, shared, suspected_notes
from lib.study import PhantomOptions, Source


def sources(*datasets):
    return [Source(dataset=dataset, name=f"{dataset}_{i}", **({"phantom": PhantomOptions()} if dataset == "phantom" else {}))
            for i, dataset in enumerate(datasets)]


@pytest.mark.parametrize("pair", [("isic_2019", "ham10000"), ("ham10000", "isic_2019"), ("bcn20000", "isic_2019")])
def test_known_overlaps_are_refused(pair):
    with pytest.raises(ValueError) as caught:
        check_pools(sources("ddi", *pair), "refuse")
    text = str(caught.value)
    assert f"{pair[0]}_1 and {pair[1]}_2 share images: " in text and "ISIC 2019" in text
    assert "challenge.isic-archive.com" in text and "data.shared_images: first_source" in text
    check_pools(sources("ddi", *pair), "first_source")


@pytest.mark.parametrize("several", [
    ("ham10000", "pad_ufes_20", "fitzpatrick17k", "ddi", "bcn20000", "isic_2020"), ("phantom", "phantom"),
    ("image_folder", "image_folder")])
def test_other_pools_are_fine(several):
    check_pools(sources(*several), "refuse")


def test_one_release_under_two_names():
    with pytest.raises(ValueError, match="a and b share images: both are ham10000, from one folder"):
        check_pools([Source(dataset="ham10000", name="a"), Source(dataset="ham10000", name="b")], "refuse")
    check_pools([Source(dataset="ham10000", name="a"), Source(dataset="ham10000", name="b", folder="other")], "refuse")


def test_declared_data_sets_exist():
    assert all(overlap.datasets <= set(INFO) and overlap.evidence for overlap in OVERLAPS)


def test_suspicion_is_a_note():
    notes = suspected_notes(sources("isic_2020", "isic_2019", "ddi"))
    assert len(notes) == 1 and notes[0].startswith("isic_2020_0 and isic_2019_1 come from") and "data.duplicates.near" in notes[0]
    assert not suspected_notes(sources("isic_2019", "ham10000")), "what is known is not suspected"
    assert shared(*sources("ddi", "fitzpatrick17k")) is None
