"""Which shards of other cuts hold requests of this one; their names are those of the workflow."""

import pandas as pd
import pytest

from lib.diffusion.requests import Requests
from lib.diffusion.shards import other_cuts
from lib.diffusion.words import Words
from lib.study import Generation, Groups, Prompts
from lib.workflow.checks import load_plan


def make_requests(images=40):
    cells = pd.DataFrame([("melanoma", "6", images)], columns=["label", "tone", "images"])
    return Requests(cells, Words(Prompts(), ["melanoma"], Groups()), {"clinical": 1.0}, Generation(batch_size=4), Groups(), study="demo")


def found(tmp_path, name):
    return [(other.folder.name, other.journal.name) for other in other_cuts(make_requests(), tmp_path / name, tmp_path / "work")]


def test_those_that_overlap_and_have_a_journal(tmp_path):
    assert found(tmp_path, "shard-1-of-2") == []                                # no folder of work yet
    (tmp_path / "work").mkdir()
    for name in ("shard-1-of-2", "shard-2-of-2", "shard-1-of-5", "shard-3-of-5", "shard-5-of-5", "shard-7-of-5", "gan-shard-1-of-5", "x"):
        (tmp_path / "work" / f"{name}.jsonl").touch()
    assert found(tmp_path, "shard-1-of-2") == [(name, f"{name}.jsonl") for name in ("shard-1-of-5", "shard-3-of-5")]
    assert found(tmp_path, "shard-2-of-2") == [(name, f"{name}.jsonl") for name in ("shard-3-of-5", "shard-5-of-5")]
    assert found(tmp_path, "gan-shard-2-of-2") == []
    other, = other_cuts(make_requests(), tmp_path / "gan-shard-1-of-1", tmp_path / "work")
    assert other.requests.numbers == make_requests().shard(0, 5).numbers and other.folder == tmp_path / "gan-shard-1-of-5"


def test_the_names_are_those_of_the_workflow(tmp_path):
    """Every chunk of 05 finds, among all chunks of the same generator cut otherwise, those with its own requests."""
    requests, chunks = make_requests(), {}
    for cut in (2, 3):
        plan = load_plan("params/demo.yaml", {"generation.shards": cut, "generation.generators": ["diffusion", "gan"], "gan": {}})
        chunks[cut] = [(job.chunk, job.cells[0]) for job in plan.of("05_generation")]
    (tmp_path / "work").mkdir()
    for chunk, _ in chunks[2]:
        (tmp_path / "work" / f"{chunk}.jsonl").touch()
    for chunk, cell in chunks[3]:
        held = set(requests.shard(cell["index"], 3).numbers)
        expected = [name for name, other in chunks[2]
                    if other["generator"] == cell["generator"] and held & set(requests.shard(other["index"], 2).numbers)]
        assert [other.folder.name for other in other_cuts(requests, tmp_path / chunk, tmp_path / "work")] == expected != []


def test_another_name_is_no_shard(tmp_path):
    with pytest.raises(ValueError, match=r"the name is not that of a shard; expected one such as shard-2-of-3"):
        other_cuts(make_requests(), tmp_path / "part-1", tmp_path)
