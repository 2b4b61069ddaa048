"""Rates and ratios of the benchmark's report."""

import pandas as pd
import pytest

from lib.report.benchmarks import describe_rates, describe_work, measure_rates, misses_first, plot_rates, rates_table
from lib.study.generate import Benchmarks, Diffusion, Generation, Tokens


@pytest.fixture
def timings():
    """Ours at 9, 9.5 and 10 images/s where plain has 3 and the ceiling 10; the third repetition ran on a machine half as fast."""
    rows = []
    for task in ("drawing", "tokens"):
        for repetition, (ours, speed) in enumerate([(9.0, 1.0), (9.5, 1.0), (10.0, 0.5)]):
            for name, rate in (("ours", ours), ("plain", 3.0), ("ceiling", 10.0)):
                rows.append({"task": task, "repetition": repetition, "contestant": name, "images": 30, "seconds": 30 / (rate * speed)})
    return pd.DataFrame(rows)


def test_ratios_are_taken_within_a_repetition(timings):
    rates = measure_rates(timings).set_index(["task", "figure"])
    assert rates.loc[("tokens", "share"), ["median", "low", "high"]].tolist() == pytest.approx([0.95, 0.9, 1.0])
    assert rates.loc[("tokens", "gain"), "median"] == pytest.approx(9.5 / 3)
    assert rates.loc[("tokens", "ours"), ["median", "low", "high"]].tolist() == pytest.approx([9.0, 5.0, 9.5])


def test_table_reads_in_the_order_of_the_tasks(timings):
    shown = rates_table(measure_rates(timings))
    assert shown.index.tolist() == ["token training", "drawing"]
    assert shown.loc["drawing", "share of the ceiling"] == "95% (90%–100%)"


def test_says_whether_it_is_enough(timings):
    sentences = describe_rates(measure_rates(timings))
    assert "Drawing reaches 95% (runs: 90% to 100%) of the ceiling (90% is wanted: reached)." in sentences
    assert any("3.17" in sentence and "3.00 is wanted: reached" in sentence for sentence in sentences)
    slow = timings.assign(seconds=timings["seconds"].where(timings["contestant"] != "ours", timings["seconds"] * 2))
    sentences = describe_rates(measure_rates(slow))
    assert sum("not reached" in sentence for sentence in sentences) == 3
    assert all("not reached" in sentence for sentence in misses_first(reversed(sentences))[:3])


def test_plots_a_dot_per_run(timings):
    figure = plot_rates(timings)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["Token training", "Drawing"]
    assert sum(len(line.get_xdata()) for axis in figure.axes for line in axis.lines if line.get_marker() == "o") == len(timings)


def test_says_what_is_timed():
    diffusion, generation = Diffusion(tokens=Tokens(batch_size=8, accumulation=2)), Generation(batch_size=20, steps=50, guidance=3)
    work = describe_work(diffusion, generation, Benchmarks(), 64)
    assert "2 batches of 8 each. LoRA of rank 16: as many with batches of 4." in work[1]
    assert "40 images a repetition (200 in all) in batches of 20, 50 steps of dpmsolver++, guidance 3." in work[2]
