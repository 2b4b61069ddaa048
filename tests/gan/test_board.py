"""Rows of a history as TensorBoard reads them back."""

import math

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lib.gan.board import tensorboard


def test_rows_come_back_as_scalars(tmp_path):
    with tensorboard(tmp_path / "disc") as log:
        log("0123456789abcdef", {"iteration": 10, "wasserstein": 1.5, "quality": math.nan})
        log("0123456789abcdef", {"iteration": 20, "wasserstein": 0.5, "quality": 0.25})
    events = EventAccumulator(str(tmp_path / "disc-012345")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("wasserstein")] == [(10, 1.5), (20, 0.5)]
    assert [(event.step, event.value) for event in events.Scalars("quality")] == [(20, 0.25)]
    assert set(events.Tags()["scalars"]) == {"wasserstein", "quality"}


def test_a_training_that_tells_nothing_leaves_no_file(tmp_path):
    with tensorboard(tmp_path / "gan"):
        pass
    assert not list(tmp_path.iterdir())
