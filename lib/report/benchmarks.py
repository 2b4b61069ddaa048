"""How fast training, drawing and curation's searches are beside a plain loop and the ceiling (notebook 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lib.report.style import ARMS, QUIET, house_style, light_grid, new_figure
from lib.report.words import capital, count, join, number, percent
from lib.study.gan import Gan
from lib.study.generate import Benchmarks, Diffusion, Generation, Searches, Training

NAMES = {"ours": "this project", "plain": "plain loop", "ceiling": "ceiling"}


@dataclass(frozen=True)
class Task:
    """What is timed, and what it should reach."""

    name:  str
    unit:  str          = "images"      # that rates count
    share: float | None = None          # of the ceiling's rate
    gain:  float | None = None          # times the plain loop's rate


TRAINING = {
    "tokens":  Task("token training", share=0.9),
    "lora":    Task("LoRA training",  share=0.9),
    "drawing": Task("drawing",        share=0.9, gain=3.0),
    "gan":     Task("GAN training",   share=0.9, gain=1.3),
}


def searches(sizes: Sequence[int]) -> dict[str, Task]:
    """Curation's searches, over images of these sizes in pixels."""
    kinds = {"perceptual": Task("nearest by LPIPS", "pairs", gain=100.0), "similarity": Task("most similar by SSIM", "pairs", gain=20.0)}
    by_size = {f"{kind}-{size}": replace(task, name=f"{task.name}, {size} px") for kind, task in kinds.items() for size in sizes}
    return by_size | {"neighbours": Task("nearest neighbours", "pairs", share=0.5)}


def measure_rates(timings: pd.DataFrame, tasks: Mapping[str, Task] = TRAINING) -> pd.DataFrame:
    """Units per second and ratios within each repetition: median, lowest and highest over the repetitions, a row per task and figure.

    `timings` has a row per run: task, contestant (ours, plain, ceiling; others are left out), repetition, images, seconds. Tasks come in
    the order of `tasks`; others are left out.
    """
    rates = rates_of(timings[timings["contestant"].isin(NAMES)])
    figures = rates.assign(gain=rates["ours"] / rates["plain"], share=rates["ours"] / rates["ceiling"])
    grouped = figures.groupby(level="task", sort=False)
    parts = {"median": grouped.median(), "low": grouped.min(), "high": grouped.max()}
    stacked = pd.concat({name: part.stack() for name, part in parts.items()}, axis=1)
    stacked.index.names = ["task", "figure"]
    return stacked.reindex([task for task in tasks if task in rates.index.get_level_values("task")], level="task").reset_index()


def rates_of(timings: pd.DataFrame) -> pd.DataFrame:
    """Units per second: a row per task and repetition, a column per contestant."""
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


def describe_searches(options: Searches, repetitions: int) -> list[str]:
    """What is searched, and how much of it the plain loops do."""
    sizes = join(f"{size} × {size}" for size in options.sizes)
    return [
        f"Images: {number(options.generated)} drawn ones, each compared with {number(options.real)} others, {sizes} pixels; "
        f"{count(repetitions, 'repetition')}. LPIPS on {options.encoder}; SSIM of grey images, windows of 7 pixels.",
        f"Nearest neighbours: {number(options.queries)} vectors of {number(options.features)} numbers among {number(options.base)}.",
        f"The plain loops compare {number(options.plainly)} of these images (or vectors) with all others and are taken to need the same "
        "time for every further pair.",
    ]


def rates_table(rates: pd.DataFrame, tasks: Mapping[str, Task] = TRAINING) -> pd.DataFrame:
    """`measure_rates` for reading: medians with the range over repetitions."""
    cells = rates.assign(text=[_cell(row) for row in rates.itertuples()]).pivot(index="task", columns="figure", values="text")
    table = cells.loc[[task for task in tasks if task in cells.index], ["ours", "plain", "ceiling", "gain", "share"]]
    unit = tasks[table.index[0]].unit
    table.index = [tasks[task].name for task in table.index]
    return table.rename_axis(index="task", columns=None).rename(columns={
        **{key: f"{name}, {unit}/s" for key, name in NAMES.items()}, "gain": "times the plain loop", "share": "share of the ceiling"})


@house_style
def plot_rates(timings: pd.DataFrame) -> Figure:
    """Every run's rate as a share of the ceiling's median: a row of dots per contestant, a panel per task of training and drawing."""
    tasks = [task for task in TRAINING if task in set(timings["task"])]
    figure, axes = new_figure(1, len(tasks), title="How fast, and how fast could it be?", height=2.0, sharey=True,
                              note="A dot per run; 100% is the median of the ceiling: the network alone on ready tensors.")
    for axis, task in zip(axes[0], tasks, strict=True):
        runs = timings[timings["task"] == task]
        rate = runs["images"] / runs["seconds"]
        whole = rate[runs["contestant"] == "ceiling"].median()
        for place, name in enumerate(reversed(NAMES)):
            shown = rate[runs["contestant"] == name] / whole
            axis.plot(shown, [place] * len(shown), "o", color=ARMS[1 if name == "ours" else 0], alpha=0.6)
        axis.axvline(TRAINING[task].share, color=QUIET, linewidth=1, linestyle=":")
        axis.set_title(capital(TRAINING[task].name))
        axis.set_xlim(0, max(1.1, 1.05 * float((rate / whole).max())))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(share)))
        light_grid(axis, "x")
    axes[0, 0].set_yticks(range(len(NAMES)), [NAMES[name] for name in reversed(NAMES)])
    axes[0, 0].set_ylim(-0.6, len(NAMES) - 0.4)
    return figure


@house_style
def plot_gains(rates: pd.DataFrame, tasks: Mapping[str, Task]) -> Figure:
    """Times the plain loop's rate on a logarithmic axis, a row per task: median, range over the runs, and a tick where it should be."""
    figure, axes = new_figure(1, 1, title="How many times as fast as the plain loop?", height=0.8 + 0.35 * len(tasks),
                              note="Point: median; line: slowest and fastest run; tick: what is wanted.")
    axis, gains = axes[0, 0], rates[rates["figure"] == "gain"].set_index("task")
    shown = [task for task in tasks if task in gains.index]
    for place, task in enumerate(reversed(shown)):
        axis.plot(gains.loc[task, ["low", "high"]].tolist(), [place] * 2, color=ARMS[1], linewidth=2)
        axis.plot(gains.loc[task, "median"], place, "o", color=ARMS[1])
        if tasks[task].gain:
            axis.plot(tasks[task].gain, place, "|", color=QUIET, markersize=16)
    axis.set_xscale("log")
    axis.set_yticks(range(len(shown)), [tasks[task].name for task in reversed(shown)])
    axis.set_ylim(-0.6, len(shown) - 0.4)
    light_grid(axis, "x")
    return figure


def describe_rates(rates: pd.DataFrame, tasks: Mapping[str, Task] = TRAINING) -> list[str]:
    """Per task: what share of the ceiling is reached, how many times the plain loop that is, and whether that is as much as was wanted."""
    sentences = []
    for key, figures in rates.set_index("figure").groupby("task", sort=False):
        task, share, gain = tasks[key], figures.loc["share"], figures.loc["gain"]
        enough = f" ({_verdict(share['median'], task.share, percent(task.share))})" if task.share else ""
        sentences.append(f"{capital(task.name)} reaches {_range(share, percent)} of the ceiling{enough}.")
        enough = f" ({_verdict(gain['median'], task.gain, _times(task.gain))})" if task.gain else ""
        sentences.append(f"{capital(task.name)} is {_range(gain, _times)} times as fast as the plain loop{enough}.")
    return sentences


def misses_first(sentences: Iterable[str]) -> list[str]:
    """The same, in front what was wanted and not reached: who reads only the first few shall not miss it."""
    return sorted(sentences, key=lambda sentence: "not reached" not in sentence)


def _batches(options: Training) -> str:
    batch = f"batches of {options.batch_size}"
    return batch if options.accumulation == 1 else f"{options.accumulation} {batch} each"


def _verdict(value: float, wanted: float, text: str) -> str:
    return f"{text} is wanted: {'reached' if value >= wanted else 'not reached'}"


def _times(gain: float) -> str:
    """With two digits where they say something."""
    return number(gain, 2 if gain < 10 else 0)


def _range(row: pd.Series, write) -> str:
    return f"{write(row['median'])} (runs: {write(row['low'])} to {write(row['high'])})"


def _cell(row) -> str:
    if row.figure == "share":
        return f"{percent(row.median)} ({percent(row.low)}–{percent(row.high)})"
    return f"{_rate(row.median)} ({_rate(row.low)}–{_rate(row.high)})"


def _rate(value: float) -> str:
    return number(value, 2 if value < 100 else 0)
