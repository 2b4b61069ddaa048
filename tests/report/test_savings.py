"""What each saving gains, within a repetition and beyond its scatter."""

import pandas as pd
import pytest

from lib.report.savings import describe_savings, measure_savings, savings_table


@pytest.fixture
def timings():
    """The second repetition ran on a machine half as fast; channels-last was faster in one repetition and slower in the other."""
    rates = {"plain": (10, 5), "no graph": (12, 6.5), "channels last": (10.5, 4.5), "ours": (14, 7), "ceiling": (15, 7.5)}
    rows = [{"task": "gan", "repetition": repetition, "contestant": name, "images": 60, "seconds": 60 / rate}
            for name, both in rates.items() for repetition, rate in enumerate(both)]
    return pd.DataFrame([*rows, {"task": "lora", "repetition": 0, "contestant": "plain", "images": 60, "seconds": 1}])


def test_gains_are_taken_within_a_repetition(timings):
    savings = measure_savings(timings).set_index("saving")
    assert savings.index.tolist() == ["no graph", "channels last", "ours"]
    assert savings.loc["no graph"].tolist() == pytest.approx([1.25, 1.2, 1.3])
    assert savings.loc["ours"].tolist() == pytest.approx([1.4, 1.4, 1.4])


def test_says_what_shows_and_what_does_not(timings):
    assert describe_savings(measure_savings(timings)) == [
        "No graph through the generator in the critic's steps: 1.25 times the plain loop (runs: 1.20–1.30).",
        "Not faster than the plain loop in every repetition: channels-last memory and a norm written for it.",
    ]


def test_table_ends_with_all_of_it(timings):
    shown = savings_table(measure_savings(timings))
    assert shown.index.tolist()[-1] == "all of it, as this project trains" and shown.iloc[-1, 0] == "1.40 (1.40–1.40)"


def test_nothing_to_say_where_no_gan_was_timed(timings):
    savings = measure_savings(timings[timings["task"] == "lora"])
    assert savings.empty and describe_savings(savings) == [] and savings_table(savings).empty
