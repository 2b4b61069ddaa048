"""What each way of saving time gains in the training of a GAN (notebook 10)."""

from __future__ import annotations

import pandas as pd

from lib.report.benchmarks import rates_of
from lib.report.words import capital, join, number

SAVINGS = {                                     # contestants that are the plain loop with one thing done our way
    "no graph":      "no graph through the generator in the critic's steps",
    "frozen critic": "no gradients of the critic's weights in the generator's step",
    "one pass":      "real and drawn images through the critic in one pass",
    "written out":   "the penalty's gradient written out as a forward computation",
    "channels last": "channels-last memory and a norm written for it",
    "fused Adam":    "fused Adam",
    "compiled":      "the critic's step compiled, but for the penalty",
}


def measure_savings(timings: pd.DataFrame) -> pd.DataFrame:
    """Times the plain loop's rate that it reaches with one of SAVINGS alone, and that this project does with all it has ("ours").

    Ratios within each repetition: saving, median, low, high; the savings in their order, "ours" last. Empty without GAN training.
    """
    known = [*SAVINGS, "ours"]
    rates = rates_of(timings[timings["task"] == "gan"])
    gains = pd.DataFrame({name: rates[name] / rates["plain"] for name in known if name in rates})
    return pd.DataFrame({"median": gains.median(), "low": gains.min(), "high": gains.max()}).rename_axis("saving").reset_index()


def savings_table(savings: pd.DataFrame) -> pd.DataFrame:
    """`measure_savings` for reading."""
    names = [SAVINGS.get(name, "all of it, as this project trains") for name in savings["saving"]]
    return pd.DataFrame({"times the plain loop": [f"{number(row.median, 2)} ({_range(row)})" for row in savings.itertuples()]},
                        index=pd.Index(names, name="done our way"))


def describe_savings(savings: pd.DataFrame) -> list[str]:
    """Which savings show beyond the scatter of the runs, the largest first, and which do not."""
    gains = savings[savings["saving"] != "ours"].sort_values("median", ascending=False)
    shown = gains[gains["low"] > 1]
    sentences = [f"{capital(SAVINGS[row.saving])}: {number(row.median, 2)} times the plain loop (runs: {_range(row)})."
                 for row in shown.itertuples()]
    rest = [SAVINGS[name] for name in gains["saving"] if name not in set(shown["saving"])]
    if rest:
        sentences.append(f"Not faster than the plain loop in every repetition: {join(rest)}.")
    return sentences


def _range(row) -> str:
    return f"{number(row.low, 2)}–{number(row.high, 2)}"
