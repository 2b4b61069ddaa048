"""Which pictures are the same scene, and are they kept together? (notebook 01)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.data.duplicates import KINDS
from lib.data.images import ImageRefused, read_image
from lib.report.grids import small_picture
from lib.report.style import ALARM, BLANK, COUNTS, DPI, INK, QUIET, WIDTH, house_style, new_figure, say_instead, text_on, wrap
from lib.report.words import count, join, number

KIND_WORDS = {
    "identical": "identical", "same name": "under one name in two sources",
    "near": "near-duplicate (re-encoded, resized, slightly cropped, mirrored or turned)",
    "published": "named by a published list", "embedding": "alike to the encoder",
}
_SHORT = {
    "identical": "identical", "same name": "same name", "near": "near-duplicate", "published": "published list", "embedding": "encoder",
}
_ACROSS, _SHARP = 3, 2                                  # pairs in a row; picture pixels kept per page pixel
_CAPTION = 0.82                                         # inches for the words under a pair


# ── the pictures ─────────────────────────────────────────────────────────────────────────────────────────────────

@house_style
def plot_pairs(
    pairs:   pd.DataFrame,              # of lib.data.duplicates.find_pairs (Intake.pairs)
    samples: pd.DataFrame,              # image_id, label, and split where they are dealt
    roots:   Mapping[str, Path],        # data set → its folder
    *,
    limit:   int = 12,                  # show at most so many
    title:   str = "Which pictures are the same scene under two names?",
) -> Figure:
    """Pictures of the pairs side by side; first those of two patients, two sources or two labels, then the least alike."""
    if not len(pairs):
        return say_instead(title, "No two images were found to show one scene.")
    shown, left = _suspicious_first(pairs).head(limit), max(len(pairs) - limit, 0)
    note = "In red what makes a pair worth a look: two patients, sources or labels. The distance is 0 for the same pixels." + \
        (f" {number(left)} more {'pair is' if left == 1 else 'pairs are'} not shown." if left else "")
    room, told = WIDTH / _ACROSS, samples.set_index("image_id")
    tile = room / 2 - 0.1
    pictures = [[_read(Path(roots[pair.dataset]) / pair.path, tile), _read(Path(roots[pair.other_dataset]) / pair.other_path, tile)]
                for pair in shown.itertuples()]
    doubts = _doubts(shown)
    rows = [range(start, min(start + _ACROSS, len(shown))) for start in range(0, len(shown), _ACROSS)]
    tall = [max(_height(picture, tile) for place in row for picture in pictures[place]) for row in rows]
    tops = np.concatenate([[0], np.cumsum([high + _CAPTION for high in tall])])
    figure, axes = new_figure(title=title, height=tops[-1] + 0.35, note=note)
    axes = axes[0, 0]
    for row, top, high in zip(rows, tops, tall, strict=False):
        for place in row:
            pair, left = shown.iloc[place], (place - row[0]) * room
            for side, image_id in enumerate((pair["image_id"], pair["other_id"])):
                x, y = left + side * (tile + 0.04), top + high
                _place(axes, pictures[place][side], x, y, tile)
                axes.text(x, y + 0.04, wrap(image_id, 19, 1), va="top", fontsize=7.5, color=INK)
                fate = "not used" if side and pair["kind"] == "same name" else _fate(told, image_id)
                axes.text(x, y + 0.19, wrap(fate, 20, 1), va="top", fontsize=7.5, color=QUIET)
            _say_why(axes, pair, doubts.columns[doubts.iloc[place]], left, top + high)
    axes.set(xlim=(0, WIDTH), ylim=(tops[-1], 0), aspect="equal")
    axes.set_axis_off()
    return figure


def _suspicious_first(pairs: pd.DataFrame) -> pd.DataFrame:
    doubts = _doubts(pairs).sum(axis=1)
    order = pairs.assign(doubts=doubts, far=pairs["distance"].fillna(np.inf))
    return order.sort_values(["doubts", "far", "image_id", "other_id"], ascending=[False, False, True, True], kind="stable")


def _doubts(pairs: pd.DataFrame) -> pd.DataFrame:
    """What makes a pair worth a look; under one name, another source and another number of the patient are to be expected."""
    named = pairs["kind"] == "same name"
    return pd.DataFrame({
        "two patients": ~pairs["same_patient"] & ~named, "two sources": (pairs["dataset"] != pairs["other_dataset"]) & ~named,
        "two labels": ~pairs["same_label"],
    })


def _say_why(axes: Axes, pair: pd.Series, doubts: Sequence[str], left: float, top: float) -> None:
    far = "" if pd.isna(pair["distance"]) or pair["kind"] == "identical" else f", distance {pair['distance']:.2f}"
    axes.text(left, top + 0.36, f"{_SHORT[pair['kind']]}{far}", va="top", fontsize=7.5, color=INK)
    if len(doubts):
        axes.text(left, top + 0.51, join(doubts), va="top", fontsize=7.5, color=ALARM, gid="doubts")


def _fate(told: pd.DataFrame, image_id: str) -> str:
    """Label and split of an image that is used."""
    if image_id not in told.index:
        return "set aside"
    row = told.loc[image_id]
    return f"{row['label']}, {row['split']}" if "split" in told else str(row["label"])


def _read(path: Path, tile: float) -> np.ndarray | str:
    """The picture for a tile of so many inches, or why there is none."""
    try:
        return small_picture(read_image(path), round(tile * DPI * _SHARP))
    except ImageRefused as error:
        return str(error)


def _height(picture: np.ndarray | str, tile: float) -> float:
    return tile if isinstance(picture, str) else picture.shape[0] / max(picture.shape[:2]) * tile


def _place(axes: Axes, picture: np.ndarray | str, left: float, bottom: float, tile: float) -> None:
    high = _height(picture, tile)
    if isinstance(picture, str):
        axes.add_patch(Rectangle((left, bottom - high), tile, high, facecolor=BLANK, edgecolor="none"))
        axes.text(left + tile / 2, bottom - high / 2, wrap(picture, 20), ha="center", va="center", fontsize=7.5, color=ALARM, gid="gone")
        return
    wide = picture.shape[1] / max(picture.shape[:2]) * tile
    left += (tile - wide) / 2
    axes.imshow(picture, extent=(left, left + wide, bottom, bottom - high), interpolation="antialiased", aspect="equal")


# ── source × source ──────────────────────────────────────────────────────────────────────────────────────────────

@house_style
def plot_overlap(
    overlap: pd.DataFrame,              # of lib.data.duplicates.count_overlap
    *,
    title:   str = "How many pairs of pictures of one scene do the sources share?",
) -> Figure:
    """Sources × sources with the number of pairs in every cell, and by which evidence they were found."""
    names = list(dict.fromkeys(overlap["source"]))
    totals = overlap.set_index(["source", "other"])[list(KINDS)]
    size, most = len(names), max(int(totals.sum(axis=1).max()), 2)
    figure, axes = new_figure(title=title, height=0.9 + 0.75 * size, width=float(np.clip(2.4 + 1.9 * size, 5.2, WIDTH)),
                              note="On the diagonal pairs within one source. A scene that two sources share must not train and test.")
    axes, shade = axes[0, 0], LogNorm(1, most)
    for i, j in zip(*np.triu_indices(size), strict=True):
        kinds = totals.loc[names[i], names[j]]
        pairs = int(kinds.sum())
        colour = COUNTS(shade(pairs)) if pairs else BLANK
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=2))
        if not pairs:
            axes.text(j, i, "none", ha="center", va="center", gid="pairs", color=QUIET, fontstyle="italic")
            continue
        words = [f"{number(int(found))} {_SHORT[kind]}" for kind, found in kinds.items() if found]
        middle = i - 0.06 * len(words)
        axes.text(j, middle, number(pairs), ha="center", va="bottom", gid="pairs", color=text_on(colour), fontweight="bold")
        axes.text(j, middle + 0.04, "\n".join(words), ha="center", va="top", fontsize=7.5, color=text_on(colour))
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    axes.set_xticks(range(size), [wrap(name, 18, 2) for name in names])
    axes.set_yticks(range(size), [wrap(name, 22, 2) for name in names])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def describe_overlap(overlap: pd.DataFrame) -> list[str]:      # of lib.data.duplicates.count_overlap
    """Which two sources share images, and how many."""
    between = overlap[overlap["source"] != overlap["other"]]
    if not len(between):
        return []
    shared = between[between["images"] > 0]
    if not len(shared):
        return ["No image of one source was found in another."]
    return [f"{row.source} and {row.other} share scenes: {count(row.images, 'image')} of the one, {number(row.other_images)} of the other."
            for row in shared.itertuples()]


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────

def describe_pairs(
    pairs:   pd.DataFrame,              # of lib.data.duplicates.find_pairs (Intake.pairs)
    samples: pd.DataFrame,              # image_id, cluster_id, and split where they are dealt
) -> list[str]:
    """How many pairs by which evidence, what is odd about them, and whether each pair is kept on one side of every split."""
    if not len(pairs):
        return ["No two images were found to show one scene."]
    kinds = pairs["kind"].value_counts()
    parts = [f"{number(int(kinds[kind]))} {words}" for kind, words in KIND_WORDS.items() if kind in kinds]
    sentences = [f"{count(len(pairs), 'pair')} of images {'shows' if len(pairs) == 1 else 'show'} one scene: {join(parts)}."]
    odd = [(int((~pairs["same_patient"]).sum()), "is filed under two patients", "are filed under two patients"),
           (int((pairs["dataset"] != pairs["other_dataset"]).sum()), "lies in two sources", "lie in two sources"),
           (int((~pairs["same_label"]).sum()), *(f"{verb} two labels, of which one is probably wrong" for verb in ("carries", "carry")))]
    found = [one if len(pairs) == 1 else f"{number(n)} {one if n == 1 else several}" for n, one, several in odd if n]
    if found:
        sentences.append(f"{'It' if len(pairs) == 1 else 'Of these pairs,'} {join(found)}.")
    place = samples.set_index("image_id")["split" if "split" in samples else "cluster_id"]
    ends = pairs["image_id"].map(place), pairs["other_id"].map(place)
    used = ends[0].notna() & ends[1].notna() & (pairs["kind"] != "same name")      # of one name only one image is used
    torn = pairs[used & (ends[0] != ends[1])]
    kept, what = int(used.sum()), "split" if "split" in samples else "cluster"
    if len(torn):
        first = f"{torn['image_id'].iloc[0]} and {torn['other_id'].iloc[0]}"
        sentences.append(f"{count(len(torn), 'pair')} {'is' if len(torn) == 1 else 'are'} torn between {what}s (first: {first}).")
    elif kept:
        sentences.append(f"{'The pair' if kept == 1 else f'Each of the {number(kept)} pairs'} of which both images are used lies in one "
                         f"{what}, so no scene is tested that was seen in training.")
    if kept < len(pairs):
        n = len(pairs) - kept
        sentences.append(f"Of {count(n, 'pair')}, an image or both were set aside; the list of what is not used gives the reason.")
    return sentences
