"""Blocks of a stream: what an epoch sees follows from (seed, epoch), whoever was faster, killed or resumed; hybrid asks by losses."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import stream_stub
from stream_stub import CLASSES, GENERATION, TONES, Stub, stub_drawer

from lib.classify.grid import Cell
from lib.classify.pool import real_pool
from lib.classify.stream import Source, Stream
from lib.classify.stream_chunk import Streams
from lib.classify.stream_process import StreamError, Worker
from lib.classify.train import train_cell
from lib.diffusion.quota import quota
from lib.study import Classifier, Compute, Groups
from lib.study.work import Stream as Options
from lib.tables import write_table

EPOCHS = 5


class InProcess:
    """Draws in the test's own process: as soon as it is asked, or not before somebody waits."""

    def __init__(self, sampler=None, *, eager=True):
        self.sampler = sampler or Stub()
        self.draw, self.eager, self.pending = stub_drawer(self.sampler), eager, {}
        self.cells = {}

    def ask(self, name, what):
        self.cells[name] = [tuple(one) for one in what["cells"]]
        self.pending[name] = None if self.eager else what
        if self.eager:
            self.draw({"name": name, **what})

    def asked(self, name):
        return name in self.pending

    def wait(self, name):
        for earlier in list(self.pending):
            if (what := self.pending.pop(earlier)) is not None:
                self.draw({"name": earlier, **what})
            if earlier == name:
                return
        raise AssertionError(f"{name} was never asked for")


def source(worker, *, hybrid=False, mark="x", epochs=EPOCHS, **options) -> Source:
    return Source(
        worker, Options(**{"block": 10, "cache": 25, **options}), quota(GENERATION, CLASSES, TONES), Groups(), "diffusion", hybrid=hybrid,
        seed=GENERATION.seed, size=8, epochs=epochs, mark=mark,
    )


def stream(folder: Path, worker=None, *, seed=0, **options) -> Stream:
    return Stream(source(worker or InProcess(), **options), name=f"cell-seed{seed}", seed=seed, folder=folder)


def losses_of(epoch: int) -> dict:
    """Of the epoch before; another cell is the hardest each time."""
    keys = [(label, tone) for label in CLASSES for tone in TONES]
    return {key: float((place + 2 * epoch) % len(keys)) for place, key in enumerate(keys)} if epoch else {}


def see(one: Stream, epochs=range(EPOCHS)) -> list[bytes]:
    """What each epoch is trained on."""
    seen = []
    for epoch in epochs:
        block = one.block(epoch, losses_of(epoch))
        assert block.pixels.dtype == np.uint8 and len(block.pixels) == len(block.labels) == len(block.keys) == len(block.groups)
        seen.append(block.pixels.tobytes() + repr([block.labels, block.keys, block.groups]).encode())
    return seen


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


@pytest.mark.parametrize("hybrid", [False, True])
def test_what_an_epoch_sees_does_not_depend_on_who_was_faster(tmp_path, hybrid):
    eager, lazy = (see(stream(tmp_path / str(way), InProcess(eager=way), hybrid=hybrid)) for way in (True, False))
    assert eager == lazy and len(set(eager)) == EPOCHS
    assert files(tmp_path / "True") == files(tmp_path / "False")
    assert see(stream(tmp_path / "other", seed=1, hybrid=hybrid))[0] != eager[0]


def test_the_cache_holds_the_newest_images_and_no_more(tmp_path):
    one, before = stream(tmp_path), None
    for epoch in range(EPOCHS):
        block = one.block(epoch, {})
        newest = [name for name in files(tmp_path) if name.startswith(f"block-{epoch:03d}/")]
        assert 0 < len(newest) <= 10 and len(block.labels) <= 25
        if before is not None and len(before.labels) == 25:
            kept = 25 - len(newest)
            assert np.array_equal(block.pixels[:kept], before.pixels[-kept:])
        before = block
        assert sum(len(kept.labels) for kept in one._kept.values()) < 25 + 10
    assert len(before.labels) == 25
    assert set(zip(before.labels, before.keys, before.groups, strict=True)) <= {
        (label, tone, group) for label in CLASSES for tone, group in (("1", "I–II"), ("5", "V–VI"), ("6", "V–VI"))}


@pytest.mark.parametrize(("stop", "hybrid"), [(0, False), (3, True), (8, False), (14, True)])
def test_interrupted_while_drawing_it_goes_on_and_repeats_nothing(tmp_path, stop, hybrid):
    whole = Stub()
    reference = see(stream(tmp_path / "whole", InProcess(whole), hybrid=hybrid))
    before, seen = Stub(stop_after=stop), []
    broken = stream(tmp_path / "broken", InProcess(before), hybrid=hybrid)
    with pytest.raises(KeyboardInterrupt):
        for epoch in range(EPOCHS):
            seen += see(broken, [epoch])
    after, resumed = Stub(), max(0, len(seen) - 1)                      # from the checkpoint of the epoch before
    assert seen[:resumed] + see(stream(tmp_path / "broken", InProcess(after), hybrid=hybrid), range(resumed, EPOCHS)) == reference
    assert files(tmp_path / "broken") == files(tmp_path / "whole")
    assert sorted(before.drawn + after.drawn) == sorted(whole.drawn)


def test_a_resumed_run_finds_lost_images_drawn_again(tmp_path):
    reference = see(stream(tmp_path))
    content = files(tmp_path)
    lost = next(name for name in content if name.startswith("block-002"))
    (tmp_path / lost).unlink()
    (tmp_path / "block-003.parquet").write_bytes(b"cut short")
    again = Stub()
    assert see(stream(tmp_path, InProcess(again)), [4]) == reference[4:5]
    assert len(again.drawn) == 1 and files(tmp_path) == content


def test_hybrid_asks_for_the_hardest_cells_once_an_epoch_has_gone_by(tmp_path):
    worker = InProcess()
    see(stream(tmp_path, worker, hybrid=True))
    plain = InProcess()
    see(stream(tmp_path / "plain", plain))
    for block in range(EPOCHS):
        name = f"cell-seed0-block-{block:03d}"
        if block < 2:
            assert worker.cells[name] == plain.cells[name]
            continue
        losses = losses_of(block - 1)                                   # known when the epoch before this block's began
        worst = sorted(losses, key=lambda key: -losses[key])[:2]        # a quarter of six cells, rounded up
        assert {(label, tone): count for label, tone, count in worker.cells[name]} == dict.fromkeys(worst, 5)


def test_hybrid_forgets_what_followed_from_other_losses(tmp_path):
    reference = see(stream(tmp_path, hybrid=True))
    one, again = stream(tmp_path, worker := InProcess(), hybrid=True), losses_of(0)
    one.block(0, again)
    assert not worker.cells                                             # the same: nothing is asked for again
    one.block(1, {("nevus", "1"): 9.0, ("melanoma", "5"): 0.1})
    assert list(worker.cells) == ["cell-seed0-block-002"]
    assert sorted(path.name for path in tmp_path.glob("block-*.json")) == ["block-000.json", "block-001.json", "block-002.json"]
    assert see(stream(tmp_path, hybrid=True)) == reference


def test_hybrid_says_when_what_it_asked_for_is_gone(tmp_path):
    see(stream(tmp_path / "cell" / "stream", hybrid=True))
    (tmp_path / "cell" / "stream" / "block-003.json").unlink()
    with pytest.raises(StreamError, match=r"block-003\.json is missing.*delete .*cell and run"):
        stream(tmp_path / "cell" / "stream", hybrid=True).block(4, losses_of(4))


def test_another_configuration_draws_anew(tmp_path):
    see(stream(tmp_path))
    again = Stub()
    see(stream(tmp_path, InProcess(again), mark="other"), [0])
    assert len({name for name, _ in again.drawn}) == 20 and len(list(tmp_path.glob("block-*.json"))) == 2


def test_after_so_many_images_no_more_are_drawn(tmp_path):
    worker = InProcess()
    seen = see(stream(tmp_path, worker, images=24))
    assert {name[-3:]: sum(count for *_, count in cells) for name, cells in worker.cells.items()} == {"000": 10, "001": 10, "002": 4}
    assert len(set(seen)) == 3 and seen[2:] == [seen[2]] * (EPOCHS - 2)


def test_a_block_for_an_epoch_that_never_came_is_deleted(tmp_path):
    for way in (True, False):
        one = stream(tmp_path / str(way), InProcess(eager=way))
        see(one, range(3))
        one.end(3)
        assert sorted(path.name for path in (tmp_path / str(way)).glob("block-*.json")) == [f"block-00{number}.json" for number in range(3)]
    assert files(tmp_path / "True") == files(tmp_path / "False") != {}


def test_all_refused_is_an_error_and_not_an_empty_cache(tmp_path):
    with pytest.raises(StreamError, match=r"cell-seed0: the checks .* refused every image that was drawn \(20 too dark\)"):
        stream(tmp_path, InProcess(Stub(dark=True))).block(0, {})


def test_every_image_is_in_the_table_of_the_chunk(tmp_path):
    cells, streams = [Cell("diffusion_curated", "small_cnn", seed) for seed in (0, 1)], Streams(source(InProcess()), tmp_path / "work")
    for cell in cells:
        see(streams.of(cell), range(3))
        streams.end(cell, 3)
    finished = Streams(source(again := InProcess()), tmp_path / "work")     # another run finds the cells trained
    for cell in cells:
        finished.end(cell, 3)
    (tmp_path / "chunk" / "images").mkdir(parents=True)
    (tmp_path / "chunk" / "images" / "old.png").touch()
    table = finished.table(tmp_path / "chunk")
    assert not again.sampler.drawn
    pd.testing.assert_frame_equal(table, streams.table(tmp_path / "other"))
    write_table("synthetic", table, tmp_path / "chunk" / "synthetic.parquet")
    assert set(files(tmp_path / "chunk")) == set(table["path"].dropna()) and table["image_id"].nunique() == 60
    assert table["seed"].is_unique and table["seed"].nunique() == len(table)
    counted = finished.blocks()
    assert counted.groupby(["seed", "block"])["asked"].sum().to_dict() == {(seed, block): 10 for seed in (0, 1) for block in (1, 2, 3)}
    assert counted["images"].sum() == table["accepted"].sum() and counted["attempts"].sum() == len(table)
    assert finished.waits().empty and len(streams.waits()) == 6 and (streams.waits()["seconds"] >= 0).all()
    assert Streams(source(InProcess()), tmp_path).table(tmp_path / "none").empty


@pytest.mark.parametrize("arm", ["diffusion_uncurated+on_the_fly", "diffusion_curated+hybrid"])
def test_a_cell_that_was_killed_ends_as_one_that_was_not(toys, tmp_path, arm):
    toy, cell = toys(count=80), Cell(arm, "small_cnn", 0)
    samples = toy.samples.assign(label=toy.samples["label"].replace({"red": "melanoma", "green": "nevus", "blue": "nevus"}))
    pool, options = real_pool(samples, toy.pixels), Classifier(epochs=4, batch_size=16)

    def train(folder, stop_after=None):
        def progress(step, steps, row):
            if row and row["epoch"] == stop_after:
                raise KeyboardInterrupt

        shared = source(InProcess(), hybrid="hybrid" in arm, epochs=4)
        streams = Streams(replace(shared, size=32), folder)
        train_cell(cell, pool, CLASSES, options, folder=folder / cell.name, compute=Compute(device="cpu"), fingerprint="x",
                   stream=streams.of(cell), progress=progress)
        streams.end(cell, 4)
        return {path.relative_to(folder): path.read_bytes() for kind in ("safetensors", "json", "png")
                for path in folder.rglob(f"*.{kind}")}

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", stop_after=3)
    assert train(tmp_path / "killed") == train(tmp_path / "whole")


def program(way: str) -> list[str]:
    return [sys.executable, stream_stub.__file__, way]


def test_a_process_of_its_own_draws_the_same(tmp_path):
    worker = Worker(program("draw"), tmp_path / "worker.log")
    one = stream(tmp_path / "process", worker)
    seen = see(one, range(2))
    worker._process.kill()                                              # whatever ends it, and however far it was
    worker._process.wait()
    with pytest.raises(StreamError, match="was ended by SIGKILL, most often because memory ran out"):
        see(one, range(2, EPOCHS))
    worker.close()
    seen += see(stream(tmp_path / "process"), range(2, EPOCHS))
    assert seen == see(stream(tmp_path / "own"))
    assert files(tmp_path / "process") == files(tmp_path / "own")
    assert one.waited.keys() == {0, 1}


def test_what_goes_wrong_in_the_process_reaches_the_trainer(tmp_path):
    worker = Worker(program("fail"), tmp_path / "worker.log")
    one = stream(tmp_path / "stream", worker)
    with pytest.raises(StreamError, match=r"block-000 could not be drawn: generation\.steps is too small \(more in .*worker\.log"):
        one.block(0, {})
    with pytest.raises(StreamError, match=r"ended by SIGKILL.*It said last: .*the last thing that it said \(log: .*worker\.log"):
        one.block(1, {})
    worker.close()
