"""The estimate before a run: counts as they will be drawn, and no model loaded."""

import subprocess
import sys

import pytest

from lib.diffusion.estimate import estimate, size_of_base
from lib.diffusion.quota import quota
from lib.study import ROOT, Generation

CLASSES, TONES = list("abcdefg"), list("123456")


def test_counts_are_those_of_the_quota():
    generation = Generation(images=1000, over_generation=1.3, batch_size=16, attempts=3, shards=4)
    found = estimate(generation, CLASSES, TONES, image_size=64, seconds_per_batch=2)
    assert found.images == quota(generation, CLASSES, TONES)["images"].sum() == 1300 and found.cells == 42
    assert (found.batches, found.most_batches, found.seconds) == (82, 246, 164)
    assert found.sentence() == ("1,300 images of 42 cells in 82 batches, about 3 min (41 s for each of 4 shards), about 11.7 MB; "
                                "refused images are drawn again, 246 batches at most")
    assert estimate(generation, CLASSES, TONES, image_size=64, bytes_per_image=1e6).bytes == pytest.approx(1.3e9, rel=1e-3)


def test_without_a_timed_batch_it_says_so():
    found = estimate(Generation(), CLASSES, TONES, image_size=512)
    assert found.images == 90_000 and found.seconds is None and "time unknown" in found.sentence() and "GB" in found.sentence()
    assert "23 h 26 min" in estimate(Generation(), CLASSES, TONES, image_size=512, seconds_per_batch=15).sentence()


def test_the_size_of_a_base(tiny_folder, tmp_path):
    assert size_of_base(tiny_folder) == 32
    assert size_of_base(tmp_path) == 512


def test_it_loads_no_torch():
    code = "import sys; import lib.diffusion.estimate; sys.exit(bool({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
