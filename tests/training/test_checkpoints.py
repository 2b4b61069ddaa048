"""Checkpoints: what goes in comes out, what is damaged or foreign is never used, a write that dies leaves the old file."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from lib.files import write_atomically, write_json
from lib.training.checkpoints import delete_checkpoints, load_checkpoint, save_checkpoint, told_when_full


def example(value: float = 1.0) -> dict:
    weight = torch.full((4, 3, 2, 2), value).to(memory_format=torch.channels_last)
    return {
        "model": {"weight": weight, "half": torch.arange(5).bfloat16(), "empty": torch.zeros(0, 3), "n": torch.tensor(3)},
        "optimizer": {"state": {0: {"step": torch.tensor(2.0)}}, "param_groups": [{"betas": (0.9, 0.999), "fused": True, "params": [0]}]},
        "history": [{"epoch": 1, "auroc": float("nan"), "loss": 0.1 + 0.2}],
        "nothing": None,
    }


def assert_same(left, right):
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype and torch.equal(left, right) and left.stride() == right.stride()
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        assert left == right or left != left


def test_round_trip_keeps_every_value_type_and_memory_layout(tmp_path):
    save_checkpoint(tmp_path, 7, example(), fingerprint="f")
    found = load_checkpoint(tmp_path, fingerprint="f")
    assert found.step == 7
    assert_same(found.state, example())


def test_tensors_that_share_memory_are_allowed(tmp_path):
    base = torch.arange(6.0)
    save_checkpoint(tmp_path, 1, {"a": base, "b": base[2:]}, fingerprint="f")
    assert torch.equal(load_checkpoint(tmp_path, fingerprint="f").state["b"], base[2:])


def test_only_the_newest_stay_and_the_newest_is_loaded(tmp_path):
    for step in range(1, 6):
        save_checkpoint(tmp_path, step, example(step), fingerprint="f", keep=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-0000000004.safetensors", "step-0000000005.safetensors"]
    assert load_checkpoint(tmp_path, fingerprint="f").step == 5


def test_another_fingerprint_is_not_used_and_said(tmp_path):
    save_checkpoint(tmp_path, 1, example(), fingerprint="old")
    said = []
    assert load_checkpoint(tmp_path, fingerprint="new", say=said.append) is None
    assert len(said) == 1 and "another configuration" in said[0] and "old" in said[0] and "new" in said[0]


def test_what_another_configuration_left_further_on_does_not_push_out_the_new_ones(tmp_path):
    for step in (100, 200):
        save_checkpoint(tmp_path, step, example(), fingerprint="old")
    for step in (7, 14, 21):
        save_checkpoint(tmp_path, step, example(step), fingerprint="new")
        assert load_checkpoint(tmp_path, fingerprint="new", say=lambda text: None).step == step
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-0000000014.safetensors", "step-0000000021.safetensors"]


@pytest.mark.parametrize(("error", "number"), [
    (OSError(errno.ENOSPC, "No space left on device"), errno.ENOSPC),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), errno.EDQUOT),
    (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), errno.ENOSPC),
])
def test_a_full_disk_is_told_with_what_stays(tmp_path, error, number):
    for saved, stays in ((7, rf"The checkpoint of epoch 7 stays in {tmp_path}\."), (None, r"No checkpoint was written before\.")):
        with pytest.raises(OSError, match=rf"toy: the disk is full after epoch 9\. {stays} Free some space and run the same command again"
                           ) as told, told_when_full("toy", 9, tmp_path, saved, "epoch"):
            raise error
        assert told.value.errno == number and told.value.filename == str(tmp_path)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), SafetensorError("(os error 13)"), ValueError("28")])
def test_other_errors_pass_as_they_are(tmp_path, error):
    with pytest.raises(type(error)) as passed, told_when_full("toy", 9, tmp_path, None):
        raise error
    assert passed.value is error


def test_a_file_cut_short_falls_back_to_the_one_before(tmp_path):
    save_checkpoint(tmp_path, 1, example(1), fingerprint="f")
    newest = save_checkpoint(tmp_path, 2, example(2), fingerprint="f")
    whole = newest.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1]:
        newest.write_bytes(whole[:length])
        said = []
        assert load_checkpoint(tmp_path, fingerprint="f", say=said.append).step == 1
        assert len(said) == 1 and newest.name in said[0] and "damaged" in said[0]


def test_no_changed_byte_goes_unnoticed(tmp_path):
    path = save_checkpoint(tmp_path, 1, example(), fingerprint="f")
    whole = bytearray(path.read_bytes())
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 0x11
        path.write_bytes(changed)
        found = load_checkpoint(tmp_path, fingerprint="f", say=lambda text: None)
        if found is not None:                                          # e.g. a changed blank between header and data
            assert_same(found.state, example())


def test_no_folder_and_an_empty_folder_hold_no_checkpoint(tmp_path):
    assert load_checkpoint(tmp_path / "none", fingerprint="f") is None
    assert load_checkpoint(tmp_path, fingerprint="f") is None


def test_delete_leaves_other_files_alone(tmp_path):
    save_checkpoint(tmp_path / "a", 1, example(), fingerprint="f")
    delete_checkpoints(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    save_checkpoint(tmp_path / "b", 1, example(), fingerprint="f")
    (tmp_path / "b" / "note.txt").write_text("mine")
    delete_checkpoints(tmp_path / "b")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["note.txt"]


def test_a_leaf_that_is_no_plain_value_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"state\.model\.1: .* not set"):
        save_checkpoint(tmp_path, 1, {"model": [1, {2}]}, fingerprint="f")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, lambda temporary: temporary.write_text("old"))

    def fails(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fails)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"version": 1})
    program = (
        "import os, signal, sys; from pathlib import Path; from lib.files import write_atomically\n"
        "def write(temporary): temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(Path(sys.argv[1]), write)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program, str(path)], cwd=root, check=False).returncode == -9
    assert len(list(tmp_path.iterdir())) == 2                          # the old file and the half-written one
    assert '"version": 1' in path.read_text()
    save_checkpoint(tmp_path, 1, example(), fingerprint="f")
    load_checkpoint(tmp_path, fingerprint="f")                         # tidies up
    assert {file.name for file in tmp_path.iterdir()} == {"file.json", "step-0000000001.safetensors"}


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())
