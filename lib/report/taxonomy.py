"""How diagnoses become conditions and targets (notebook 01): the policies side by side, and what each keyword rule hits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.data.policies import EVERYBODY, UNKNOWN
from lib.report.style import QUIET, group_colours, house_style, legend_below, light_grid, new_figure, say_instead, text_on, wrap
from lib.report.words import count, join, number, percent

_ACROSS = 4                     # entries of the legend side by side: names of 16 letters fit
PARTS = {"malignant": ("malignant", "#B3261E"), "non_neoplastic": ("no tumour, apart", "#E69F00"), "benign": ("benign", "#7FBEE0"),
         "left_out": ("left out", "#DDDDDD")}
_ANSWERS = {                    # (question, policy) of lib.data.policies → words
    ("non-neoplastic", "exclude"): "leave it out", ("non-neoplastic", "separate"): "a class of its own",
    ("non-neoplastic", "benign"): "count it as benign", ("actinic keratosis", "malignant"): "count it as malignant",
    ("actinic keratosis", "benign"): "count it as benign", ("actinic keratosis", "exclude"): "leave it out",
}
_QUESTIONS = {"non-neoplastic": "Disease that is no tumour", "actinic keratosis": "Actinic keratosis"}


@house_style
def plot_policies(
    policies: pd.DataFrame | None,      # of lib.data.policies.compare_policies
    *,
    title:    str = "What would count as malignant?",
) -> Figure:
    """Left: images by target under each policy; right: the share called malignant, for everybody and by group."""
    if policies is None or not policies["images"].max() > 0:
        return say_instead(title, "These data sets have no diagnoses that conditions are known for." if policies is None else
                           "There are no images.")
    everybody = policies[policies["group"] == EVERYBODY]
    shown = [question for question, part in everybody.groupby("question", sort=False) if _matters(part)]
    if not shown:
        return say_instead(title, "Neither actinic keratosis nor disease that is no tumour is among these images, so no policy matters.")
    groups = [group for group in policies["group"].unique() if group != EVERYBODY]
    colours = group_colours(groups)
    handles = [Patch(facecolor=colour, label=name) for part, (name, colour) in PARTS.items() if policies[part].any()]
    handles += [Line2D([], [], marker="D", color="black", linestyle="none", label="everybody")]
    handles += [Line2D([], [], marker="o", color=colours[group], linestyle="none", label=wrap(group, 16, 1)) for group in groups]
    legend = 0.1 + 0.2 * -(-len(handles) // _ACROSS)        # inches
    note = (f"Counted: the {_present(everybody)}, before the study's own choice of rows. Each row answers one question; the other is "
            "answered as the study says. An arrow marks the study's own answer.")
    figure, axes = new_figure(len(shown) + 1, 2, title=title, height=0.85 + 1.5 * len(shown) + legend, note=note, width_ratios=[1.75, 1],
                              height_ratios=[1.1] * len(shown) + [legend])
    for row, question in enumerate(shown):
        part = policies[policies["question"] == question]
        _bars(axes[row, 0], part[part["group"] == EVERYBODY], question)
        _shares(axes[row, 1], part, colours, last=row == len(shown) - 1)
    axes[0, 0].set_title(f"{_QUESTIONS[shown[0]]}: images")
    axes[0, 1].set_title("Share called malignant")
    for row, question in enumerate(shown[1:], 1):
        axes[row, 0].set_title(f"{_QUESTIONS[question]}: images")
    legend_below(figure, axes, handles, _ACROSS)
    return figure


def _bars(axes: Axes, part: pd.DataFrame, question: str) -> None:
    full = max(int(part[list(PARTS)].sum(axis=1).max()), 1)
    for y, row in enumerate(part.itertuples()):
        left = 0
        for name, (_, colour) in PARTS.items():
            long = getattr(row, name)
            axes.barh(y, long, left=left, height=0.66, color=colour, edgecolor="white", linewidth=1, gid=name)
            if long > full * (0.03 + 0.022 * len(number(long))):
                axes.text(left + long / 2, y, number(long), ha="center", va="center", color=text_on(colour), fontsize=8.5, gid="count")
            left += long
    names = [("▸ " if row.chosen else "") + _ANSWERS.get((question, row.policy), row.policy) for row in part.itertuples()]
    axes.set_yticks(range(len(part)), names)
    for label, row in zip(axes.get_yticklabels(), part.itertuples(), strict=True):
        label.set_fontweight("bold" if row.chosen else "normal")
    axes.set(xlim=(0, full * 1.01), ylim=(len(part) - 0.5, -0.5))
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)


def _shares(axes: Axes, part: pd.DataFrame, colours: dict[str, str], *, last: bool) -> None:
    order = list(part["policy"].unique())
    rise = dict(zip(colours, np.linspace(-0.26, 0.26, len(colours)), strict=True))          # groups with equal shares lie side by side
    light_grid(axes, "x")
    for row in part[np.isfinite(part["malignant_share"])].itertuples():
        y, shape, size, colour = order.index(row.policy), "D", 6.5, "black"
        if row.group != EVERYBODY:
            y, shape, size, colour = y + rise[row.group], "o", 6, colours[row.group]
        axes.plot(row.malignant_share, y, shape, color=colour, markeredgecolor="white", markeredgewidth=0.6, markersize=size, gid="share",
                  zorder=2 if shape == "o" else 3)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(order) - 0.5, -0.5))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"] if last else [""] * 5)
    axes.set_yticks(range(len(order)), [""] * len(order))
    axes.spines[["left", "bottom"]].set_color(QUIET)


def describe_policies(
    policies: pd.DataFrame | None,      # of lib.data.policies.compare_policies
    *,
    minimum:  int = 20,                 # images; a group with fewer under any answer is named, not compared
) -> list[str]:
    """What each reading does to the number of images and to the malignant share, and which group's share it moves most."""
    if policies is None:
        return ["The taxonomy has no say here: at least one source's diagnoses have no conditions."]
    everybody = policies[policies["group"] == EVERYBODY]
    if not everybody["images"].max() > 0:
        return ["There are no images."]
    sentences = [f"Counted are the {_present(everybody)}, before the study's own choice of rows."]
    for question, part in everybody.groupby("question", sort=False):
        if not _matters(part):
            sentences.append(f"{_QUESTIONS[question]}: there is none among these images, so the answer changes nothing.")
            continue
        parts = [f"{_ANSWERS[question, row.policy]}: {percent(row.malignant_share)} of {count(row.images, 'image')} malignant"
                 + (f", {number(row.non_neoplastic)} in a class of their own" if row.non_neoplastic else "")
                 + (" (the study's answer)" if row.chosen else "") for row in part.itertuples()]
        sentences.append(f"{_QUESTIONS[question]}: {'; '.join(parts)}.")
        sentences += _most_moved(policies[policies["question"] == question], minimum)
    return sentences


def _matters(part: pd.DataFrame) -> bool:
    """Whether the answers to a question differ in any count."""
    return bool((part[list(PARTS)].nunique() > 1).any())


def _present(everybody: pd.DataFrame) -> str:
    """How many images were counted, left out or not."""
    return f"{count(int(everybody.iloc[0][list(PARTS)].sum()), 'image')} present"


def _most_moved(part: pd.DataFrame, minimum: int) -> list[str]:
    """The group whose malignant share depends most on the answer, and the groups that are too small to be compared."""
    groups = part[~part["group"].isin([EVERYBODY, UNKNOWN])]
    fewest = groups.groupby("group", sort=False)["images"].min()
    small = [f"{group} ({number(int(n))})" for group, n in fewest.items() if n < minimum]
    too_few = [f"Too few images under at least one answer to compare (fewer than {number(minimum)}): {join(small)}."] if small else []
    shares = groups[groups["group"].map(fewest) >= minimum].pivot(index="group", columns="policy", values="malignant_share").dropna()
    return _extremes(shares) + too_few


def _extremes(
    shares: pd.DataFrame,               # group × policy
) -> list[str]:
    if len(shares) < 2:
        return []
    spread = shares.max(axis=1) - shares.min(axis=1)
    group = spread.idxmax()
    if spread[group] < 0.005:
        return []
    return [f"The answer matters most in {group}, where {percent(shares.loc[group].min())} to {percent(shares.loc[group].max())} of the "
            f"images are malignant, and least in {spread.idxmin()} ({percent(shares.loc[spread.idxmin()].min())} to "
            f"{percent(shares.loc[spread.idxmin()].max())})."]


def describe_hits(
    hits: pd.DataFrame,                 # of lib.data.taxonomy.keyword_hits
) -> list[str]:
    """How many diagnoses and images the keyword rules read, rules without a hit, and labels without a rule."""
    if hits.empty:
        return ["No source is read by keyword rules."]
    named, nameless = hits[(hits["images"] > 0) & (hits["rule"] != "none")], hits[hits["rule"] == "none"]
    sentences = [f"{count(named['rule'].nunique(), 'keyword rule')} of {number(hits.loc[hits['rule'] != 'none', 'rule'].nunique())} read "
                 f"{count(len(named), 'diagnosis', 'diagnoses')} of {count(int(named['images'].sum()), 'image')} in "
                 f"{join(sorted(named['dataset'].unique()))}."]
    idle = hits.loc[hits["images"] == 0, "rule"].tolist()
    if idle:
        sentences.append(f"Without a hit: {join(idle, 8)}.")
    if len(nameless):
        sentences.append(f"No rule reads {join((f'{row.diagnosis} ({number(row.images)})' for row in nameless.itertuples()), 8)}; "
                         "the study has to name a condition for each.")
    return sentences
