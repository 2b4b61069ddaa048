"""How fast training and drawing are beside a plain loop and the ceiling (notebook 10)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lib.report.style import ARMS, QUIET, house_style, light_grid, new_figure
from lib.report.words import capital, count, number, percent
from lib.study.gan import Gan
from lib.study.generate import Benchmarks, Diffusion, Generation, Training

NAMES = {"ours": "this project", "plain": "plain loop", "ceiling": "ceiling"}
TASKS = {"tokens": "token training", "lora": "LoRA training", "drawing": "drawing", "gan": "GAN training"}
LEAST_SHARE = 0.9                               # of the ceiling's rate that every task should reach
LEAST_GAIN = {"drawing": 3.0, "gan": 1.3}       # times the plain rate that a task should reach


def measure_rates(timings: pd.DataFrame) -> pd.DataFrame:
    """Images per second and ratios within each repetition: median, lowest and highest over the repetitions, a row per task and figure.

    `timings` has a row per run: task, contestant (ours, plain, ceiling; others are left out), repetition, images, seconds.
    """
    rates = rates_of(timings[timings["contestant"].isin(NAMES)])
    figures = rates.assign(gain=rates["ours"] / rates["plain"], share=rates["ours"] / rates["ceiling"])
    grouped = figures.groupby(level="task", sort=False)
    parts = {"median": grouped.median(), "low": grouped.min(), "high": grouped.max()}
    stacked = pd.concat({name: part.stack() for name, part in parts.items()}, axis=1)
    stacked.index.names = ["task", "figure"]
    return stacked.reindex([task for task in TASKS if task in rates.index.get_level_values("task")], level="task").reset_index()


def rates_of(timings: pd.DataFrame) -> pd.DataFrame:
    """Images per second: a row per task and repetition, a column per contestant."""
    runs = timings.assign(rate=timings["images"] / timings["seconds"])
    return runs.pivot(index=["task", "repetition"], columns="contestant", values="rate")


def describe_work(diffusion: Diffusion, generation: Generation, benchmarks: Benchmarks, size: int, gan: Gan | None = None) -> list[str]:
    """What is timed: model, batches, steps."""
    tokens, lora, images = diffusion.tokens, diffusion.lora, benchmarks.batches * generation.batch_size
    adversarial = [
        f"GAN: at least as many steps, {count(gan.critic_steps, 'step')} of the critic to one of the generator, with batches of "
        f"{gan.batch_size} images of {gan.image_size} × {gan.image_size} pixels, one class. Counted are the real images that the critic "
        "is shown.",
    ] if gan else []
    return [
        f"Base model {diffusion.base.model}, images of {size} × {size} pixels; {count(benchmarks.repetitions, 'repetition')}, in each of "
        "which all contestants run in turn.",
        f"Tokens: {number(benchmarks.steps)} steps with {_batches(tokens)}. LoRA of rank {lora.rank}: as many with {_batches(lora)}.",
        f"Drawing: {number(images)} images a repetition ({number(benchmarks.repetitions * images)} in all) in batches of "
        f"{generation.batch_size}, {generation.steps} steps of {generation.scheduler}, guidance {generation.guidance:g}.",
        *adversarial,
    ]


def rates_table(rates: pd.DataFrame) -> pd.DataFrame:
    """`measure_rates` for reading: medians with the range over repetitions."""
    cells = rates.assign(text=[_cell(row) for row in rates.itertuples()]).pivot(index="task", columns="figure", values="text")
    table = cells.loc[[task for task in TASKS if task in cells.index], ["ours", "plain", "ceiling", "gain", "share"]]
    table.index = [TASKS[task] for task in table.index]
    return table.rename_axis(index="task", columns=None).rename(columns={
        "ours": "this project, images/s", "plain": "plain loop, images/s", "ceiling": "ceiling, images/s", "gain": "times the plain loop",
        "share": "share of the ceiling"})


@house_style
def plot_rates(timings: pd.DataFrame) -> Figure:
    """Every run's rate as a share of the ceiling's median: a row of dots per contestant, a panel per task."""
    tasks = [task for task in TASKS if task in set(timings["task"])]
    figure, axes = new_figure(1, len(tasks), title="How fast, and how fast could it be?", height=2.0, sharey=True,
                              note="A dot per run; 100% is the median of the ceiling: the network alone on ready tensors.")
    for axis, task in zip(axes[0], tasks, strict=True):
        runs = timings[timings["task"] == task]
        rate = runs["images"] / runs["seconds"]
        whole = rate[runs["contestant"] == "ceiling"].median()
        for place, name in enumerate(reversed(NAMES)):
            shown = rate[runs["contestant"] == name] / whole
            axis.plot(shown, [place] * len(shown), "o", color=ARMS[1 if name == "ours" else 0], alpha=0.6)
        axis.axvline(LEAST_SHARE, color=QUIET, linewidth=1, linestyle=":")
        axis.set_title(capital(TASKS[task]))
        axis.set_xlim(0, max(1.1, 1.05 * float((rate / whole).max())))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(share)))
        light_grid(axis, "x")
    axes[0, 0].set_yticks(range(len(NAMES)), [NAMES[name] for name in reversed(NAMES)])
    axes[0, 0].set_ylim(-0.6, len(NAMES) - 0.4)
    return figure


def describe_rates(rates: pd.DataFrame) -> list[str]:
    """Per task: what share of the ceiling is reached, how many times the plain loop that is, and whether that is as much as was wanted."""
    sentences = []
    for task, figures in rates.set_index("figure").groupby("task", sort=False):
        share, gain = figures.loc["share"], figures.loc["gain"]
        sentences.append(f"{capital(TASKS[task])} reaches {_range(share, percent)} of the ceiling "
                         f"({_verdict(share['median'], LEAST_SHARE, percent(LEAST_SHARE))}).")
        wanted = LEAST_GAIN.get(task)
        verdict = f" ({_verdict(gain['median'], wanted, number(wanted, 0))})" if wanted else ""
        sentences.append(f"{capital(TASKS[task])} is {_range(gain, lambda x: number(x, 2))} times as fast as the plain loop{verdict}.")
    return sentences


def _batches(options: Training) -> str:
    batch = f"batches of {options.batch_size}"
    return batch if options.accumulation == 1 else f"{options.accumulation} {batch} each"


def _verdict(value: float, wanted: float, text: str) -> str:
    return f"{text} is wanted: {'reached' if value >= wanted else 'not reached'}"


def _range(row: pd.Series, write) -> str:
    return f"{write(row['median'])} (runs: {write(row['low'])} to {write(row['high'])})"


def _cell(row) -> str:
    if row.figure == "share":
        return f"{percent(row.median)} ({percent(row.low)}–{percent(row.high)})"
    return f"{number(row.median, 2)} ({number(row.low, 2)}–{number(row.high, 2)})"
