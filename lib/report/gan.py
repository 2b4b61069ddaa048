"""How a GAN learnt (notebook 04): curves, grids of one fixed noise, drawn beside real, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.report.grids import SHARP, small_picture
from lib.report.learning import running_mean
from lib.report.style import ARMS, DPI, QUIET, WIDTH, house_style, legend_below, light_grid, new_figure, say_instead, wrap
from lib.report.words import count, number

PANELS = {
    "critic_loss":    "Critic's loss",
    "generator_loss": "Generator's loss",
    "wasserstein":    "Wasserstein estimate",
    "gradient_norm":  "Norm of the critic's gradient",
    "diversity":      "Spread of one fixed batch",
    "quality":        "Distance from held-out images",
}
KINDS = {"generated": "generated images", "real": "real training images", "blurred": "real ones blurred to the generator's sharpness",
         "noise": "noise"}
# The share of a reference's distance that a generator's may have at most.
LIMITS = {"blurred": (1 / 2, "half"), "noise": (1 / 5, "a fifth")}


@house_style
def plot_curves(
    histories: Mapping[str, pd.DataFrame],      # run → iteration and the columns of PANELS (NaN where nothing was taken)
    *,
    floors: Mapping[str, float] | None = None,  # run → distance of real training images from the held-out ones
    score:  str = "distance",                   # what the quality is, with its encoder
    title:  str = "Did the two networks keep their balance?",
) -> Figure:
    """Six curves by iteration, a colour per run; dashed the norm that the penalty asks for, and each run's real-to-real distance."""
    runs = {name: history for name, history in histories.items() if len(history)}
    if not runs:
        return say_instead(title, "No iteration was trained.")
    colours = {name: ARMS[1 + i % (len(ARMS) - 1)] for i, name in enumerate(runs)}
    below = 0.2 * -(-len(runs) // 4) + 0.05
    note = f"Thin: as recorded; thick: running mean. Last panel: {score}; dashed there: that of real training images."
    figure, axes = new_figure(3, 3, title=title, height=4.6 + below, note=note, height_ratios=[2.2, 2.2, below])
    for axis, (column, name) in zip(axes[:2].flat, PANELS.items(), strict=True):
        for run, history in runs.items():
            _curve(axis, history[["iteration", column]].dropna(), colours[run], thin=column not in ("quality", "diversity"))
            if column == "quality" and floors and np.isfinite(floors.get(run, np.nan)):
                axis.axhline(floors[run], color=colours[run], linestyle="--", linewidth=1, gid="floor")
        if column == "gradient_norm":
            axis.axhline(1, color=QUIET, linestyle="--", linewidth=1)
        axis.set_title(wrap(name, 24, 2))
        light_grid(axis)
    for axis in axes[1]:
        axis.set_xlabel("iteration", color=QUIET)
    legend_below(figure, axes, [Line2D([], [], color=colours[name], label=wrap(name, 40, 1)) for name in runs], min(len(runs), 4))
    return figure


@house_style
def plot_grids(
    grids: Mapping[str, Mapping[int, np.ndarray]],      # run → iteration → uint8 [H, W, 3], pictures of one fixed noise
    *,
    most:  int = 4,
    title: str = "What does the same noise become?",
) -> Figure:
    """A row per run: its grids at up to `most` iterations, the first and the last among them."""
    rows = {name: [(iteration, known[iteration]) for iteration in _spread(sorted(known), most)] for name, known in grids.items() if known}
    if not rows:
        return say_instead(title, "No grid was drawn.")
    across = max(map(len, rows.values()))
    side = min(WIDTH / across, 3.4)
    figure, axes = new_figure(len(rows), across, title=title, height=(side + 0.35) * len(rows) + 0.2, width=max(side * across, 5.0))
    for line, (name, shown) in zip(axes, rows.items(), strict=True):
        for axis in line[len(shown):]:
            axis.set_axis_off()
        for axis, (iteration, picture) in zip(line, shown, strict=False):
            _show(axis, picture, side)
            axis.set_title(f"iteration {number(iteration)}", fontsize=9, fontweight="normal")
        line[0].set_ylabel(wrap(name, 24, 2), color=QUIET)
    return figure


@house_style
def plot_beside(
    sets: Mapping[str, tuple[np.ndarray, np.ndarray]],  # label → real and drawn images, uint8 [N, S, S, 3] each
    *,
    across: int = 5,                                    # pictures in a line of each kind
    title:  str = "Real beside generated",
) -> Figure:
    """Real images at the left, drawn ones at the right; of one class five lines, of several a line or two each."""
    sets = {label: both for label, both in sets.items() if all(map(len, both))}
    if not sets:
        return say_instead(title, "There are no images to compare.")
    lines = max(1, across // len(sets))
    tile = (WIDTH / 2 - 0.6) / across
    figure, axes = new_figure(len(sets), 2, title=title, height=(tile * lines + 0.12) * len(sets) + 0.4)
    for axis, kind in zip(axes[0], ("real", "generated"), strict=True):
        axis.set_title(kind, fontsize=9, fontweight="normal")
    for line, (label, both) in zip(axes, sets.items(), strict=True):
        for axis, pixels in zip(line, both, strict=True):
            _show(axis, tiled(pixels[_spread(range(len(pixels)), across * lines)], across), tile * across)
        line[0].set_ylabel(wrap(label, 14, 3), color=QUIET, rotation=0, ha="right", va="center")     # lines are too low for words on end
    return figure


@house_style
def plot_nearest(
    sets: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    *,                                                  # run → drawn uint8 [N, S, S, 3], learnt from [K, …], distances [N], places [N]
    most:  int = 8,
    title: str = "Which drawn images are nearest to a real one?",
) -> Figure:
    """Of each run the drawn images that lie nearest to a training image, each over that image, with the distance."""
    if not sets:
        return say_instead(title, "There are no images to compare.")
    tile = WIDTH / most - 0.05
    figure, axes = new_figure(2 * len(sets), most, title=title, height=(2 * tile + 0.35) * len(sets) + 0.2,
                              note="Above drawn, below the nearest training image. The same picture twice would be learning by heart.")
    for block, (name, (drawn, train, distances, places)) in enumerate(sets.items()):
        pair = axes[2 * block:2 * block + 2]
        chosen = np.argsort(distances, kind="stable")[:most]
        for column, place in zip(pair.T, chosen, strict=False):
            _show(column[0], drawn[place], tile)
            _show(column[1], train[places[place]], tile)
            column[0].set_title(number(float(distances[place]), 3), fontsize=8, fontweight="normal")
        for axis in pair[:, len(chosen):].flat:
            axis.set_axis_off()
        pair[0, 0].set_ylabel(wrap(name, 14, 2), color=QUIET)
    return figure


def tiled(
    pixels: np.ndarray,                         # uint8 [N, S, S, 3]
    side:   int,                                # pictures per row
) -> np.ndarray:
    """One picture of them all in rows, white where there are none left."""
    size, rows = pixels.shape[1], -(-len(pixels) // side)
    sheet = np.full((rows * side, size, size, 3), 255, dtype=np.uint8)
    sheet[:len(pixels)] = pixels
    return sheet.reshape(rows, side, size, size, 3).swapaxes(1, 2).reshape(rows * size, side * size, 3)


def told(said: Mapping[str, Sequence[str]]) -> list[str]:
    """The sentences of every run, named where there are several."""
    return [f"{name}: {sentence}" if len(said) > 1 else sentence for name, sentences in said.items() for sentence in sentences]


def describe_crops(followed: int, whole: int, crop: str) -> str:
    """How many images were cut out around their lesion, and how many show the whole picture for want of a mask."""
    if not followed + whole:
        return "No images."
    if crop != "lesion":
        return f"{count(whole, 'whole image')}, as the study asks for no crop."
    if not whole:
        return f"{'The only image is' if followed == 1 else f'All {number(followed)} images are'} cut out around the lesion's mask."
    return (f"{number(followed)} of {count(followed + whole, 'image')} are cut out around the lesion's mask; "
            f"{number(whole)} have none that can be read and show the whole picture.")


def describe_comparison(
    table: pd.DataFrame,                        # of lib.gan.quality.compare
) -> list[str]:
    """By each encoder the distance of what was drawn beside its floor, and whether it keeps to LIMITS of those of blur and of noise."""
    if table.empty:
        return ["Too few held-out images to judge what it draws; raise split.validation."]
    said = []
    for encoder, rows in table.groupby("encoder", sort=False):
        rows = rows.set_index("kind")
        drawn, floor = float(rows.loc["generated", "distance"]), float(rows.loc["real", "distance"])
        said.append(f"The kernel distance in {encoder} features is {number(drawn, 4)} between generated and held-out images, and "
                    f"{number(floor, 4)} between real training images and these ({number(int(rows.loc['real', 'images']))} images each).")
        said += [_beside(drawn, floor, float(rows.loc[kind, "distance"]), kind)
                 for kind in LIMITS if kind != "blurred" or rows.loc[kind, "sigma"] > 0]
    if (table["sigma"] == 0).any():
        said.append("What it draws is as sharp as real images or noisier, so there is no blurred reference, and half of its distance "
                    "cannot be asked.")
    return said


def judged(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The comparisons of all runs in one table, their kinds in words; the run is named where there are several."""
    found = [table.assign(kind=table["kind"].map(KINDS)) for table in tables.values()]
    if len(found) > 1:
        found = [table.assign(run=name)[["run", *table.columns]] for name, table in zip(tables, found, strict=True)]
    return pd.concat(found, ignore_index=True)


def _beside(drawn: float, floor: float, other: float, kind: str) -> str:
    share, words = LIMITS[kind]
    if other <= max(floor, 0):
        return (f"The {KINDS[kind]} are no farther ({number(other, 4)}) than real training images: these features do not see the "
                f"difference, so {words} of it cannot be asked.")
    verdict = f"at most {words}, as it should be" if drawn <= share * other else f"more than {words}, which is too much"
    return f"That is {number(drawn / other, 2)} times the {number(other, 4)} of {KINDS[kind]}: {verdict}."


def _curve(axis: Axes, points: pd.DataFrame, colour: str, *, thin: bool) -> None:
    values = points.iloc[:, 1].to_numpy(dtype=float)
    thin = thin and len(values) > 12
    axis.plot(points["iteration"], values, color=colour, linewidth=0.6 if thin else 1.4, alpha=0.35 if thin else 1,
              marker="." if 0 < len(values) < 12 else None)
    if thin:
        axis.plot(points["iteration"], running_mean(values), color=colour, linewidth=1.7, gid="running")


def _show(axis: Axes, picture: np.ndarray, inches: float) -> None:
    axis.imshow(small_picture(picture, max(1, round(inches * DPI * SHARP))), interpolation="antialiased")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def _spread(items: Sequence[int], most: int) -> list[int]:
    """At most so many of them, from the first to the last."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int))]
