"""Several processes take one step as one would."""

from functools import partial

import torch
from parallel_work import one_step
from safetensors.torch import load_file

from lib.diffusion.base.parallel import WHOLE, Part, side_by_side


def test_two_processes_get_the_gradient_of_one(tmp_path):
    one_step(tmp_path, WHOLE)
    side_by_side(partial(one_step, tmp_path), 2)
    alone = load_file(tmp_path / "0-of-1.safetensors")
    for rank in range(2):
        shared = load_file(tmp_path / f"{rank}-of-2.safetensors")
        for name, gradient in alone.items():
            torch.testing.assert_close(shared[name], gradient)


def test_only_the_first_process_speaks(capsys):
    Part(0, 2).say("one")
    Part(1, 2).say("two")
    assert capsys.readouterr().out == "one\n"
