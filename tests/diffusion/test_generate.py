"""Generation around a sampler that only looks at requests: kills, shards, refusals, lost files and full disks change no byte."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lib.diffusion.generate as generate_module
from lib.diffusion.generate import KeptPictures, basic_checks, generate
from lib.diffusion.journal import Journal, Line
from lib.diffusion.requests import Requests
from lib.diffusion.shards import other_cuts
from lib.diffusion.words import Words
from lib.study import Generation, Groups, Prompts
from lib.tables import write_table

PROVENANCE = {"base_model": "stub", "base_sha256": "0" * 64}


class Stub:
    """An 8 px image from the request's seed and slot; `refused` are brightened out of the checks by their attempt."""

    batch_size = 4

    def __init__(self, stop_after: int | None = None):
        self.calls: list[list[tuple[int, int]]] = []
        self.stop_after = stop_after

    def __call__(self, requests):
        if len(self.calls) == self.stop_after:
            raise KeyboardInterrupt
        self.calls.append([(request.number, request.attempt) for request in requests])
        return [self.image(request) for request in requests]

    def image(self, request):
        if request.number % 11 == 10 and request.attempt == 1:
            return None                                             # not finite
        image = np.random.default_rng([request.seed, request.slot]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        if request.number % 5 == 3 and request.attempt < 1 + request.number % 4:
            image //= 100                                           # too dark
        return image

    def describe(self):
        return {"generator": "gan", "class_labels": False, "width": 8, "height": 8, "batch_size": 4, "threads": 1, "device": "cpu",
                "dtype": "float32", "versions": json.dumps({"stub": "1"})}

    def deciding(self):
        return None

    def trace(self, request):
        return {"start": "plain", "anchor_colour": None}


def make_requests(images=42):
    cells = pd.DataFrame([("melanoma", "6", images // 2), ("nevus", "1", images - images // 2)], columns=["label", "tone", "images"])
    generation = Generation(batch_size=4, brightness=(0.1, 0.9))
    words = Words(Prompts(), ["melanoma", "nevus"], Groups())
    return Requests(cells, words, {"clinical": 0.5, "dermoscopic": 0.5}, generation, Groups(), study="demo")


def run(folder, requests=None, sampler=None, **options):
    requests = requests or make_requests()
    settings = {"accept": basic_checks(requests.generation), "attempts": 3, "provenance": PROVENANCE} | options
    return generate(requests, sampler or Stub(), folder=folder, **settings)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted((folder / "images").rglob("*")) if path.is_file()}


def test_every_attempt_is_a_row_and_every_accepted_one_a_file(tmp_path):
    drawn = run(tmp_path)
    table = drawn.table()
    write_table("synthetic", table, tmp_path / "synthetic.parquet")
    accepted = table[table["accepted"]]
    assert len(accepted) == drawn.images and len(table) == drawn.attempts and drawn.images + drawn.given_up == 42
    assert set(contents(tmp_path)) == set(accepted["path"])
    for row in accepted.itertuples():
        assert hashlib.sha256((tmp_path / row.path).read_bytes()).hexdigest() == row.sha256
    assert set(table["reason"].dropna()) == {"too dark", "not finite"}
    by_image = table.groupby("image_id")
    assert (by_image["attempt"].max() == by_image.size()).all() and by_image["attempt"].max().max() == 3
    assert table["seed"].is_unique and (by_image["slot"].nunique() == 1).all() and (by_image["prompt"].nunique() == 1).all()
    assert drawn.given_up == 42 - by_image["accepted"].any().sum() > 0
    assert drawn.rejection_rate == pytest.approx(1 - table["accepted"].mean())


def test_resuming_after_any_batch_gives_the_same_and_repeats_nothing(tmp_path):
    whole = Stub()
    reference = run(tmp_path / "whole", sampler=whole).table()
    for stop in range(len(whole.calls)):
        folder = tmp_path / f"stop{stop}"
        before, after = Stub(stop_after=stop), Stub()
        with pytest.raises(KeyboardInterrupt):
            run(folder, sampler=before)
        pd.testing.assert_frame_equal(run(folder, sampler=after).table(), reference)
        assert contents(folder) == contents(tmp_path / "whole")
        assert sorted(chain(*before.calls, *after.calls)) == sorted(chain(*whole.calls))
    again = Stub()
    run(tmp_path / "whole", sampler=again)
    assert again.calls == []


@pytest.mark.parametrize("shards", [2, 3])
def test_shards_add_up_to_the_unsharded_set_byte_by_byte(tmp_path, shards):
    requests = make_requests()
    reference = run(tmp_path / "whole", requests)
    files, tables = {}, []
    for index in range(shards):
        folder = tmp_path / f"shard{index}"
        tables.append(run(folder, requests.shard(index, shards)).table())
        files |= contents(folder)
    assert files == contents(tmp_path / "whole")
    pd.testing.assert_frame_equal(pd.concat(tables, ignore_index=True), reference.table())


def draw_cut(root, cut, requests, **options):
    """Every shard of a cut, as the workflow lays them out; the tables together, what was drawn, and what was said."""
    calls, said, tables = [], [], []
    for index in range(cut):
        folder, sampler = root / f"shard-{index + 1}-of-{cut}", Stub()
        others = other_cuts(requests, folder, root / "work")
        drawn = run(folder, requests.shard(index, cut), sampler, journal=root / "work" / f"{folder.name}.jsonl", others=others,
                    say=said.append, **options)
        tables.append(drawn.table())
        calls += chain(*sampler.calls)
    return pd.concat(tables, ignore_index=True), calls, said


def files_of(root, cut):
    return {name: content for index in range(cut) for name, content in contents(root / f"shard-{index + 1}-of-{cut}").items()}


def test_another_cut_draws_nothing_again(tmp_path):
    """Three shards, then two, five, one and three again: every attempt is taken over, the tables and files are those of one run."""
    requests = make_requests()
    reference = run(tmp_path / "whole", requests).table()
    _, drawn, said = draw_cut(tmp_path, 3, requests)
    assert len(drawn) == len(reference) and not said
    for cut in (2, 5, 1, 3):
        table, drawn, said = draw_cut(tmp_path, cut, requests)
        assert drawn == [] and len(said) == (0 if cut == 3 else cut)
        pd.testing.assert_frame_equal(table, reference)
        assert files_of(tmp_path, cut) == contents(tmp_path / "whole")
    one = tmp_path / "shard-1-of-1" / reference["path"].dropna().iloc[0]
    assert one.stat().st_nlink == 4                                             # one file in four folders


def test_another_cut_takes_over_what_fits_and_draws_the_rest(tmp_path, monkeypatch):
    """From a shard that was interrupted, one whose images are damaged, and one of other models; on a disk without links."""
    requests = make_requests()
    reference = run(tmp_path / "whole", requests).table()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "shard-1-of-3", requests.shard(0, 3), Stub(stop_after=2), journal=tmp_path / "work" / "shard-1-of-3.jsonl")
    second = tmp_path / "shard-2-of-3"
    run(second, requests.shard(1, 3), journal=tmp_path / "work" / "shard-2-of-3.jsonl")
    lost, altered = [second / name for name in list(contents(second))[:2]]
    lost.unlink()
    altered.write_bytes(b"half")
    run(tmp_path / "shard-3-of-3", requests.shard(2, 3), journal=tmp_path / "work" / "shard-3-of-3.jsonl",
        provenance=PROVENANCE | {"base_sha256": "1" * 64})

    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    kept = sum(len(path.read_text(encoding="utf-8").splitlines()) - 1 for path in (tmp_path / "work").glob("shard-[12]-of-3.jsonl"))
    table, drawn, said = draw_cut(tmp_path, 2, requests)
    pd.testing.assert_frame_equal(table, reference)
    assert files_of(tmp_path, 2) == contents(tmp_path / "whole") and len(drawn) == len(reference) - (kept - 2)
    assert sum(int(text.split(": ")[1].split()[0]) for text in said) == kept - 2


def test_fewer_attempts_take_over_no_later_ones(tmp_path):
    requests = make_requests()
    draw_cut(tmp_path, 3, requests)
    table, drawn, _ = draw_cut(tmp_path, 2, requests, attempts=1)
    pd.testing.assert_frame_equal(table, run(tmp_path / "whole", requests, attempts=1).table())
    assert drawn == [] and set(table["attempt"]) == {1}


def test_a_take_over_that_is_cut_short_goes_on(tmp_path, monkeypatch):
    requests = make_requests()
    draw_cut(tmp_path, 3, requests)
    monkeypatch.setattr(generate_module, "_ADOPTED_AT_ONCE", 5)
    append, done = Journal.append, []

    def killed(self, lines):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(append(self, lines))

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            draw_cut(tmp_path, 1, requests)
    table, drawn, said = draw_cut(tmp_path, 1, requests)
    pd.testing.assert_frame_equal(table, run(tmp_path / "whole", requests).table())
    assert drawn == [] and said[0].startswith(f"{tmp_path / 'shard-1-of-1'}: {len(table) - 10} attempts are taken over")


def test_refused_images_are_tried_again_together_in_their_own_slots(tmp_path):
    sampler = Stub()
    run(tmp_path, sampler=sampler)
    retries = [call for call in sampler.calls if any(attempt > 1 for _, attempt in call)]
    assert max(len(call) for call in retries) > 1
    assert all(len({number % 4 for number, _ in call}) == len(call) for call in sampler.calls)


def test_a_missing_or_altered_image_is_drawn_again(tmp_path):
    reference, messages = run(tmp_path).table(), []
    files = contents(tmp_path)
    lost, altered, empty = sorted(files)[0], sorted(files)[7], sorted(files)[-1]
    (tmp_path / lost).unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / altered)
    (tmp_path / empty).write_bytes(b"")
    sampler = Stub()
    pd.testing.assert_frame_equal(run(tmp_path, sampler=sampler, say=messages.append).table(), reference)
    assert contents(tmp_path) == files and len([*chain(*sampler.calls)]) == 3
    assert messages == [f"{tmp_path}: 3 images are missing or not the ones that were drawn; drawing them again"]


def test_work_of_another_configuration_is_not_mixed_in(tmp_path):
    messages = []
    run(tmp_path, make_requests(12))
    drawn = run(tmp_path, make_requests(6), say=messages.append)
    assert set(contents(tmp_path)) == set(drawn.table()["path"].dropna()) and "another configuration" in messages[0]
    for change in ({"provenance": PROVENANCE | {"base_sha256": "1" * 64}}, {"fingerprint": ["other code"]}):
        sampler = Stub()
        run(tmp_path, make_requests(6), sampler, say=messages.append, **change)
        assert sampler.calls


def test_more_attempts_try_only_what_was_given_up_and_fewer_forget_the_later_ones(tmp_path):
    """Images depend on their request and attempt alone, so what was accepted stays; the outcome is that of a run from the start."""
    reference = {attempts: (run(tmp_path / f"of{attempts}", attempts=attempts).table(), contents(tmp_path / f"of{attempts}"))
                 for attempts in (1, 2, 3)}
    made = []
    for attempts in (1, 2, 3, 1, 3, 2):
        sampler = Stub()
        table = run(tmp_path / "changed", sampler=sampler, attempts=attempts).table()
        pd.testing.assert_frame_equal(table, reference[attempts][0])
        assert contents(tmp_path / "changed") == reference[attempts][1]
        made.append([attempt for _, attempt in chain(*sampler.calls)])
    assert set(made[0]) == {1} and set(made[1]) == {2} and set(made[2]) == {3} and made[3] == made[5] == []
    accepted_later = (reference[3][0]["accepted"] & reference[3][0]["attempt"].gt(1)).sum()
    assert len(made[4]) == accepted_later and set(made[4]) == {2, 3}        # their files were deleted with the attempts


def test_a_killed_process_loses_one_batch_at_most(tmp_path):
    """SIGKILL in the middle of writing a batch's images: the rerun equals the uninterrupted run."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(f"""
        import importlib.util, os, signal, sys
        from pathlib import Path
        spec = importlib.util.spec_from_file_location("stubs", {str(Path(__file__))!r})
        stubs = importlib.util.module_from_spec(spec); spec.loader.exec_module(stubs)
        from lib.diffusion import generate
        made, png = [], generate.png_bytes
        def dies(image):
            made.append(1)
            if len(made) == 22:
                os.kill(os.getpid(), signal.SIGKILL)
            return png(image)
        generate.png_bytes = dies
        stubs.run(Path(sys.argv[1]))
    """), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run([sys.executable, script, tmp_path / "killed"], env=environment, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    kept = [line for line in Journal(tmp_path / "killed" / "journal.jsonl", mark_of(tmp_path / "killed")).lines() if line.reason is None]
    assert 22 - Stub.batch_size <= len(kept) < 22
    (tmp_path / "killed" / "images" / "melanoma-fst-vi" / ".left.png.123").write_bytes(b"half")
    sampler, whole = Stub(), Stub()
    pd.testing.assert_frame_equal(run(tmp_path / "killed", sampler=sampler).table(), run(tmp_path / "whole", sampler=whole).table())
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(sampler.calls) <= len(whole.calls) - 4


def mark_of(folder: Path) -> str:
    return json.loads((folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()[0])["run"]


def test_without_its_journal_everything_is_drawn_again(tmp_path):
    """`--force` empties the folder of unfinished work, where the stage keeps it."""
    journal = tmp_path / "work" / "shard.jsonl"
    reference = run(tmp_path / "shard", journal=journal).table()
    assert journal.is_file() and not (tmp_path / "shard" / "journal.jsonl").exists()
    again = Stub()
    run(tmp_path / "shard", sampler=again, journal=journal)
    assert again.calls == []
    journal.unlink()
    forced = Stub()
    pd.testing.assert_frame_equal(run(tmp_path / "shard", sampler=forced, journal=journal).table(), reference)
    assert sum(attempt == 1 for _, attempt in chain(*forced.calls)) == 42


def test_pictures_are_read_when_they_are_looked_at(tmp_path):
    paths = run(tmp_path).table()["path"].dropna()
    pictures = KeptPictures(tmp_path, paths)
    assert len(pictures) == len(paths) and np.array_equal(pictures[3], np.asarray(Image.open(tmp_path / paths.iloc[3])))
    assert len(KeptPictures(tmp_path / "nowhere", paths)) == len(paths)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("what", ["image", "journal"])
def test_a_full_disk_keeps_what_is_drawn_and_says_what_to_do(tmp_path, monkeypatch, what, code):
    reference, sampler = run(tmp_path / "whole").table(), Stub()
    calls, write, fsync = [], Path.write_bytes, os.fsync

    def full(*arguments, real):
        calls.append(1)
        if len(calls) > 4:
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    with monkeypatch.context() as patch:
        if what == "image":
            patch.setattr(Path, "write_bytes", lambda *arguments: full(*arguments, real=write))
        else:
            patch.setattr(os, "fsync", lambda *arguments: full(*arguments, real=fsync))
        with pytest.raises(OSError, match=r"disk is full\. Every finished batch is kept; free some space"):
            run(tmp_path / "full", sampler=sampler)
    after = Stub()
    pd.testing.assert_frame_equal(run(tmp_path / "full", sampler=after).table(), reference)
    assert contents(tmp_path / "full") == contents(tmp_path / "whole")
    assert after.calls[0] != sampler.calls[0]                       # the first batch was kept


def test_memory_is_flat_for_60_000_rows(tmp_path):
    """Resuming 60,000 requests, nearly all refused for good, then drawing the last few, takes what 600 take and two bytes a request."""
    def peak(images, name=""):
        folder, requests = tmp_path / f"{images}{name}", make_requests(images)
        with pytest.raises(KeyboardInterrupt):
            run(folder, requests, Stub(stop_after=0), attempts=1)
        with Journal(folder / "journal.jsonl", mark_of(folder)) as journal:
            for start in range(0, images - 16, 4):
                journal._file.write(b"".join(json.dumps(Line(n, 1, "too dark", None)).encode() + b"\n" for n in range(start, start + 4)))
        sampler = Stub()
        tracemalloc.start()
        drawn = run(folder, requests, sampler, attempts=1)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert drawn.attempts == images and len(sampler.calls) == 4
        return highest

    peak(600, "first")
    assert peak(60_000) < peak(600) + 2 * 60_000 + 100_000


def test_sampler_and_requests_must_agree_on_the_batch(tmp_path):
    sampler = Stub()
    sampler.batch_size = 5
    with pytest.raises(ValueError, match="batches of 5, and the requests are laid out for batches of 4"):
        run(tmp_path, sampler=sampler)


def test_basic_checks():
    accept = basic_checks(Generation(brightness=(0.1, 0.9), minimum_contrast=0.05))
    assert accept(np.full((8, 8, 3), 10, np.uint8)) == "too dark"
    assert accept(np.full((8, 8, 3), 250, np.uint8)) == "too bright"
    assert accept(np.full((8, 8, 3), 128, np.uint8)) == "too little contrast"
    assert accept(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)) is None
