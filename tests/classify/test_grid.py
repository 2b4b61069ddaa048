"""The grid: every cell once, chunks of neighbouring seeds, ids that only their own cells can change."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.classify.grid import Cell, cells, chunks
from lib.study import Classifier

ARMS, NETWORKS = ["real", "classical", "oversampled"], ["small_cnn", "resnet18", "densenet121"]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(ARMS), min_size=1, unique=True),
    st.lists(st.sampled_from(NETWORKS), min_size=1, unique=True),
    st.lists(st.integers(0, 99), min_size=1, max_size=9, unique=True),
    st.integers(1, 5),
)
def test_chunks_hold_every_cell_once(arms, networks, seeds, size):
    options = Classifier(arms=arms, architectures=networks, seeds=seeds, chunk_size=size)
    grid, cut = cells(options), chunks(options)
    assert [cell for chunk in cut for cell in chunk.cells] == grid
    assert set(grid) == {Cell(arm, network, seed) for arm in arms for network in networks for seed in seeds}
    assert all(len(chunk.cells) <= size and len({(cell.arm, cell.architecture) for cell in chunk.cells}) == 1 for chunk in cut)
    assert len({chunk.id for chunk in cut}) == len(cut)
    assert len(cut) == len(arms) * len(networks) * -(-len(seeds) // size)


def test_ids_survive_new_arms_networks_and_seeds():
    small = Classifier(arms=["real"], architectures=["small_cnn"], seeds=[0, 1, 2, 3], chunk_size=2)
    large = Classifier(arms=["oversampled", "real"], architectures=["resnet18", "small_cnn"], seeds=[0, 1, 2, 3, 4], chunk_size=2)
    before, grown = {chunk.id for chunk in chunks(small)}, chunks(large)
    assert before <= {chunk.id for chunk in grown}
    new = [chunk for chunk in grown if chunk.id not in before and chunk.id.startswith("real-small_cnn-")]
    assert [cell.seed for chunk in new for cell in chunk.cells] == [4]


def test_an_id_is_readable_and_fixed():
    chunk, = chunks(Classifier(arms=["real"], architectures=["small_cnn"], seeds=[0, 1], chunk_size=2))
    assert chunk.id == "real-small_cnn-30d6e163"      # another value here means that every finished chunk is trained again
    assert chunk.cells[1].name == "real-small_cnn-seed1"


def test_the_learning_curve_adds_cells_of_arm_real_and_changes_no_other():
    plain = Classifier(arms=["real", "classical"], seeds=[0, 1], chunk_size=2)
    curved = Classifier(arms=["real", "classical"], seeds=[0, 1], chunk_size=2, learning_curve=[0.25, 1, 2])
    before, after = {chunk.id for chunk in chunks(plain)}, chunks(curved)
    assert [chunk.id for chunk in after[:2]] == [chunk.id for chunk in chunks(plain)]
    new = [cell for chunk in after if chunk.id not in before for cell in chunk.cells]
    assert new == [Cell("real", "small_cnn", seed, fraction) for fraction in (0.25, 2.0) for seed in (0, 1)]
    assert new[0].name == "real-small_cnn-fraction0.25-seed0"
    assert new[0].record() == {"arm": "real", "architecture": "small_cnn", "seed": 0, "fraction": 0.25}


def test_every_fold_has_the_whole_grid():
    options = Classifier(arms=["real"], seeds=[0, 1], chunk_size=2, learning_curve=[0.5])
    found = chunks(options, folds=3)
    assert len({chunk.id for chunk in found}) == len(found) == 6
    assert {(cell.fold, cell.fraction, cell.seed) for chunk in found for cell in chunk.cells} == {
        (fold, fraction, seed) for fold in (1, 2, 3) for fraction in (0.5, 1.0) for seed in (0, 1)}
    assert all(len({(cell.fold, cell.fraction) for cell in chunk.cells}) == 1 for chunk in found)
    assert {chunk.id for chunk in chunks(options)}.isdisjoint(chunk.id for chunk in found)
    assert Cell("real", "small_cnn", 0, fold=2).name == "real-small_cnn-fold2-seed0"


def test_a_switch_stands_in_the_name():
    cell = Cell("diffusion_curated+ratio=0.5", "small_cnn", 3)
    assert cell.name == "diffusion_curated+ratio=0.5-small_cnn-seed3" and Cell(**cell.record()) == cell


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match=r"'reel'; did you mean real\? known: real, classical, oversampled"):
        cells(Classifier(arms=["reel"]))
    with pytest.raises(ValueError, match=r"'resnet_50'; did you mean resnet50\? known: small_cnn, resnet18"):
        cells(Classifier(architectures=["resnet_50"]))


def test_the_grid_loads_no_heavy_library():
    program = "import sys, lib.classify.grid; print([name for name in ('torch', 'pandas', 'numpy', 'scipy') if name in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
