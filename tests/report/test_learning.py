"""Notebooks 02 and 03: how learning and token norms are drawn and told."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.report.learning import describe_learning, describe_token_norms, plot_learning, plot_pictures, plot_token_norms, running_mean

pytestmark = pytest.mark.filterwarnings("error")


def make_history(losses, scores=None) -> pd.DataFrame:
    scores = [np.nan] * len(losses) if scores is None else scores
    steps = np.arange(1, len(losses) + 1) * 10
    return pd.DataFrame({"step": steps, "loss": losses, "gradient_norm": 1.0, "learning_rate": 1e-3, "score": scores})


def make_norms(**learnt) -> pd.DataFrame:
    return pd.DataFrame({"token": [f"<{name}>" for name in learnt], "vector": 0, "initial": 1.0, "learnt": learnt.values(),
                         "low": 0.9, "median": 1.0, "high": 1.1})


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80))
def test_running_mean_is_the_mean_of_the_window(values):
    half = max(1, len(values) // 20)
    windows = [values[max(i - half, 0):i + half + 1] for i in range(len(values))]
    np.testing.assert_allclose(running_mean(np.array(values)), [np.mean(window) for window in windows], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("losses", "moved"), [
    ([1.0, 0.8, 0.5, 0.4], "the loss fell from 0.900 to 0.450 (running means)."),
    ([1.0, 1.0, 1.0, 1.0], "the loss stayed near 1.000, as a denoising loss may while pictures still improve."),
    ([0.4, 0.5, 0.8, 1.0], "the loss rose from 0.450 to 0.900 (running means): lower the learning rate."),
])
def test_loss_in_words(losses, moved):
    assert describe_learning(make_history(losses), 40, "all 40 steps done", score="KID") == [
        f"It ended with all 40 steps done; {moved}", "No validation score was taken, so the last step's weights are kept."]


def test_scores_in_words():
    history = make_history([1.0, 1.0, 1.0], [0.3, 0.1, 0.2])
    assert describe_learning(history, 20, "all 30 steps done", score="KID")[1:] == [
        "Validation KID is lowest at step 20: 0.1000, from 0.3000 at step 10."]
    assert describe_learning(history, 20, "all 30 steps done", score="KID", before=0.5)[1].endswith(
        "from 0.3000 at step 10; before training it was 0.5000.")
    assert "By this score training did not help." in describe_learning(history, 20, "all 30 steps done", score="KID", before=0.1)
    rising = make_history([1.0, 1.0, 1.0], [0.3, 0.2, 0.1])
    assert describe_learning(rising, 30, "all 30 steps done", score="KID")[-1] == (
        "The last score is the best: still improving when training ended; consider more steps.")
    assert describe_learning(history.iloc[:0], 0, "", score="KID") == ["No step was trained."]


def with_start(history, score):
    start = pd.DataFrame([{"step": 0, "loss": np.nan, "gradient_norm": np.nan, "learning_rate": np.nan, "score": score}])
    return pd.concat([start, history], ignore_index=True)


def test_a_start_that_was_a_candidate_is_said_to_be_kept_or_not(draw):
    """A refinement begins with a row of step 0: the state before it, which stays where no later one has a better score."""
    worse, better = with_start(make_history([1.0, 0.5], [0.3, 0.2]), 0.1), with_start(make_history([1.0, 0.5], [0.3, 0.2]), 0.25)
    assert describe_learning(worse, 0, "all 20 steps done", score="KID") == [
        "It ended with all 20 steps done; the loss stayed near 0.750, as a denoising loss may while pictures still improve.",
        "Validation KID is lowest at step 20: 0.2000, from 0.3000 at step 10; before training it was 0.1000.",
        "By this score training did not help; the state before it is kept."]
    assert describe_learning(better, 20, "all 20 steps done", score="KID")[-1] == "That is better, so the state of step 20 is kept."
    unscored = with_start(make_history([1.0, 0.5]), 0.1)
    assert describe_learning(unscored, 0, "all 20 steps done", score="KID")[-1] == (
        "No later state could be scored, so the one before it is kept.")
    for history, kept in ((worse, (0, 0.1)), (better, (20, 0.2))):
        figure = plot_learning(history, score="KID")
        draw(figure)
        best, = (line for line in figure.axes[2].lines if line.get_gid() == "best")
        assert (float(best.get_xdata()[0]), float(best.get_ydata()[0])) == kept
        assert figure.axes[0].lines[0].get_xdata().tolist() == [10, 20]


def test_learning_is_drawn_with_the_kept_step(draw, texts, fits):
    history = make_history(np.linspace(1, 0.5, 40), [np.nan] * 19 + [0.3] + [np.nan] * 19 + [0.2])
    figure = plot_learning(history, score="KID <b>$x^2$")
    draw(figure)
    best = [line for line in figure.axes[2].lines if line.get_gid() == "best"]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in best] == [(400, 0.2)]
    assert fits(figure) and any("$x^2$" in text for text in texts(figure))
    draw(plot_learning(history.assign(score=np.nan), score="KID"))
    draw(plot_learning(history.iloc[:0], score="KID"))


def test_token_norms(draw, fits):
    norms = make_norms(near=1.2, far=3.0)
    assert describe_token_norms(norms) == [
        "2 tokens; the median length is 2.10, that of the vocabulary 1.00.",
        "<far> is over 2 times as long as a usual word and may drown the rest of a prompt; a lower learning rate or "
        "diffusion.tokens.retraction would help."]
    figure = plot_token_norms(norms)
    draw(figure)
    assert fits(figure)
    assert describe_token_norms(norms.iloc[:0]) == ["No token was trained."]
    draw(plot_token_norms(norms.iloc[:0]))


def test_pictures_stand_under_the_real_ones(draw, texts, fits):
    asked = pd.DataFrame({"label": ["melanoma"] * 10 + ["nevus <i>"] * 10, "tone": ["5"] * 19 + [None]})
    shades = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((20, 8, 8, 3), np.uint8)
    figure = plot_pictures(asked, shades, {50: shades + 100, 0: shades + 50})
    draw(figure)
    pictures = [image.get_array()[0, 0, 0] for image in figure.axes[0].images]
    assert len(pictures) == 36 and pictures[0] == 0 and pictures[11] == 19 and pictures[12] == 50 and pictures[-1] == 119
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["real", "step 0", "step 50"] and fits(figure)
    draw(plot_pictures(asked, shades, {}))


def test_names_over_pictures_break_at_spaces_alone_and_do_not_touch(draw):
    names = ["melanoma", "seborrheic keratosis", "dermatofibroma", "basal cell carcinoma"]
    asked = pd.DataFrame({"label": names * 4, "tone": ["3"] * 16})
    pictures = np.zeros((16, 8, 8, 3), np.uint8)
    figure = plot_pictures(asked, pictures, {0: pictures})
    draw(figure)
    ticks = figure.axes[0].get_xticklabels()
    assert {word for tick in ticks for word in tick.get_text().split()} == {"3", *" ".join(names).split()}
    boxes = [tick.get_window_extent(figure._get_renderer()) for tick in ticks]
    assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(boxes))
    draw(plot_pictures(asked.assign(label="pneumonoultramicroscopicsilicovolcanoconiosis"), pictures, {0: pictures}))
