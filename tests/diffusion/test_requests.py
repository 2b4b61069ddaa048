"""Requests: everything about an image from its number alone, the same in every shard, batch and quota size."""

import dataclasses
import tracemalloc
from collections import Counter

import pandas as pd
import pytest

from lib.diffusion.requests import Requests
from lib.diffusion.words import Cell, Words
from lib.study import Generation, Groups, ImagePrompt, Prompts

CELLS = pd.DataFrame([("melanoma", "1", 7), ("melanoma", "6", 40), ("nevus", "3", 15)], columns=["label", "tone", "images"])
DOMAINS = {"dermoscopic": 0.5, "clinical": 0.3, "smartphone": 0.2}


def make(cells=CELLS, domains=DOMAINS, *, by="type", batch_size=8, seed=0, **options):
    generation = Generation(batch_size=batch_size, seed=seed, image_prompt=options.pop("image_prompt", ImagePrompt()))
    words = Words(Prompts(by=by, negative="ruler"), ["melanoma", "nevus"], Groups())
    return Requests(cells, words, domains, generation, Groups(), study="demo", **options)


def test_every_request_of_the_quota_once():
    requests = make()
    every = list(requests)
    assert len(requests) == len(every) == 62
    assert Counter((request.label, request.tone) for request in every) == {("melanoma", "1"): 7, ("melanoma", "6"): 40, ("nevus", "3"): 15}
    assert len({request.image_id for request in every}) == len({request.seed for request in every}) == 62
    assert every[0].image_id == "demo-melanoma-fst-i-000000" and every[7].image_id == "demo-melanoma-fst-vi-000000"
    assert [request.slot for request in every] == [number % 8 for number in range(62)]
    assert {request.group for request in every[7:47]} == {"V–VI"} and every[50].group == "III–IV" and every[7].tone_type == 6
    assert every[7].negative_prompt == "ruler" and "melanoma" in every[7].prompt and every[7].domain in every[7].prompt
    with pytest.raises(IndexError):
        requests.request(62)


@pytest.mark.parametrize("shards", [1, 2, 3, 8, 20])
def test_shards_are_whole_batches_and_add_up(shards):
    requests = make()
    parts = [requests.shard(index, shards) for index in range(shards)]
    assert [request for part in parts for request in part] == list(requests)
    counted = pd.concat([part.count() for part in parts]).groupby(["label", "tone"])["images"].sum()
    assert counted.to_dict() == CELLS.set_index(["label", "tone"])["images"].to_dict()
    assert all(part.numbers.start % 8 == 0 for part in parts if len(part))
    assert sum(len(part.describe()["cells"]) > 0 for part in parts) == shards
    with pytest.raises(ValueError, match="shards count from 0"):
        requests.shard(shards, shards)


def test_seed_and_words_stay_when_batch_or_quota_change():
    def by_id(requests):
        return {request.image_id: dataclasses.replace(request, number=0, slot=0) for request in requests}

    plain = by_id(make())
    assert by_id(make(batch_size=5)) == plain
    larger = by_id(make(CELLS.assign(images=CELLS["images"] * 3)))
    assert {name: larger[name] for name in plain} == plain
    assert all(by_id(make(seed=1))[name].seed != request.seed for name, request in plain.items())


def test_attempts_change_the_seed_and_nothing_else():
    requests = make()
    first, second = requests.request(9), requests.request(9, attempt=2)
    assert second.seed != first.seed and second.attempt == 2
    assert dataclasses.replace(second, seed=first.seed, attempt=1) == first


@pytest.mark.parametrize("count", [1, 10, 333, 3000])
def test_domains_follow_their_shares_in_every_cell(count):
    rows = [(label, tone, count) for label in ("melanoma", "nevus") for tone in ("1" if count == 3000 else "123456")]
    cells = pd.DataFrame(rows, columns=["label", "tone", "images"])
    dealt = Counter((request.cell, request.domain) for request in make(cells))
    for cell in {cell for cell, _ in dealt}:
        assert all(abs(dealt[cell, domain] - share * count) < 2 for domain, share in DOMAINS.items())


def test_small_cells_do_not_all_get_the_first_domain():
    cells = pd.DataFrame([(f"class {i}", None, 1) for i in range(300)], columns=["label", "tone", "images"])
    dealt = Counter(request.domain for request in make(cells))
    assert all(abs(dealt[domain] / 300 - share) < 0.1 for domain, share in DOMAINS.items())


def test_a_domain_without_share_is_never_drawn():
    assert {request.domain for request in make(domains={"clinical": 1.0, "dermoscopic": 0.0})} == {"clinical"}
    with pytest.raises(ValueError, match="no domain"):
        make(domains={"clinical": 0.0})


def test_groups_and_unknown_tones():
    cells = pd.DataFrame([("melanoma", "V–VI", 1), ("nevus", None, 1)], columns=["label", "tone", "images"])
    dark, unknown = make(cells, by="group")
    assert (dark.tone, dark.tone_type, dark.group) == ("V–VI", None, "V–VI")
    assert (unknown.tone, unknown.tone_type, unknown.group) == (None, None, None)
    assert unknown.image_id == "demo-nevus-000000"


def test_learnt_tokens_stand_in_the_prompt():
    assert "<melanoma-fst-vi>" in make(tokens=["<melanoma-fst-vi>"]).request(7).prompt
    assert "<" not in make().request(7).prompt


def test_references_are_dealt_in_turn_and_must_be_there():
    references = {Cell("melanoma", "1"): ["a", "b"], Cell("melanoma", "6"): ["c"], Cell("nevus", "3"): ["d", "e", "f"]}
    requests = make(references=references, image_prompt=ImagePrompt(mode="img2img"))
    used = Counter(request.source_image_id for request in requests)
    assert sorted(used) == list("abcdef") and sorted(used[name] for name in "ab") == [3, 4] and used["c"] == 40
    assert {request.source_image_id for request in make(references=references)} == {None}
    del references[Cell("nevus", "3")]
    with pytest.raises(ValueError, match=r"img2img, and 1 cells have no training image .*nevus-fst-iii"):
        make(references=references, image_prompt=ImagePrompt(mode="img2img"))


def test_the_plan_of_60_000_images_takes_no_more_memory_than_of_60():
    def peak(count):
        tracemalloc.start()
        requests = make(pd.DataFrame([("melanoma", "6", count)], columns=["label", "tone", "images"]))
        for place in range(0, len(requests), -(-count // 500)):
            assert requests[place].number == place
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(60)
    assert peak(60_000) < peak(60) + 50_000
