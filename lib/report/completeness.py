"""What was left out on the way in, and what is not known about the rest (notebook 01)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.report.style import ALARM, QUIET, house_style, new_figure, say_instead, text_on, wrap
from lib.report.words import count, join, number, percent

# What can be unknown about an image, and how the report calls it.
FACTS = {
    "domain": "domain", "tone": "skin type", "group": "group", "patient_id": "patient", "lesion_id": "lesion", "mask_path": "lesion mask",
    "ita": "measured skin colour (ITA)", "age": "age", "sex": "sex", "site": "body site",
}
FATES = {
    "used": "used", "excluded": "excluded by the study", "refused": "refused (unreadable, or contradicts itself)",
    "missing": "listed, but no file",
}
_FATE_COLOURS = {"used": "#0072B2", "excluded": "#9CC7E3", "refused": "#D55E00", "missing": "#C9C9C9"}


# ── what is unknown ──────────────────────────────────────────────────────────────────────────────────────────────

def count_missing(
    samples: pd.DataFrame,
    columns: Sequence[str] | None = None,       # default: the columns of FACTS that the frame has
) -> pd.DataFrame:
    """One row per column: fact (its name in words), missing, images, share missing; most missing first. Blank text is missing too."""
    names = [name for name in FACTS if name in samples.columns] if columns is None else list(columns)
    rows = []
    for name in names:
        values = samples[name]
        absent = values.isna()
        if not pd.api.types.is_numeric_dtype(values.dtype):
            absent = absent | values.map(lambda value: isinstance(value, str) and not value.strip()).astype(bool)
        rows.append((FACTS.get(name, name), int(absent.sum()), len(samples), float(absent.mean()) if len(samples) else np.nan))
    frame = pd.DataFrame(rows, columns=["fact", "missing", "images", "share"])
    return frame.sort_values("missing", ascending=False, kind="stable", ignore_index=True)


@house_style
def plot_missing(
    missing: pd.DataFrame,                      # of count_missing
    *,
    title:   str = "What is not known about the images?",
) -> Figure:
    """A bar per fact that is unknown for at least one image; complete facts are named in the note."""
    if missing.empty or not missing["images"].max():
        return say_instead(title, "There are no images.")
    gaps, complete = missing[missing["missing"] > 0], missing.loc[missing["missing"] == 0, "fact"].tolist()
    if gaps.empty:
        return say_instead(title, f"Known for every image: {join(complete)}.")
    note = f"Known for every image: {join(complete)}." if complete else None
    figure, axes = new_figure(title=title, height=0.95 + 0.32 * len(gaps), note=note)
    axes = axes[0, 0]
    axes.barh(range(len(gaps)), np.ones(len(gaps)), height=0.62, color="#EFEFEF")
    axes.barh(range(len(gaps)), gaps["share"], height=0.62, color="#56789A")
    for i, row in enumerate(gaps.itertuples()):
        axes.text(1.015, i, f"{percent(row.share)}  ({number(row.missing)} of {number(row.images)})", va="center")
    axes.set(xlim=(0, 1.32), ylim=(len(gaps) - 0.5, -0.5), xlabel="share of images for which it is unknown")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.set_yticks(range(len(gaps)), [wrap(name, 28, 2) for name in gaps["fact"]])
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def describe_missing(missing: pd.DataFrame) -> list[str]:
    """Which facts are unknown, for what share, and which are known for every image."""
    if missing.empty or not missing["images"].max():
        return ["There are no images."]
    gaps, complete = missing[missing["missing"] > 0], missing.loc[missing["missing"] == 0, "fact"].tolist()
    if gaps.empty:
        return [f"Nothing is missing: {join(complete)} {'is' if len(complete) == 1 else 'are'} known for every image."]
    parts = [f"{row.fact} for {percent(row.share)} ({number(row.missing)} of {number(row.images)})" for row in gaps.itertuples()]
    return [f"Not known: {join(parts)}."] + ([f"Known for every image: {join(complete)}."] if complete else [])


# ── what was left out ────────────────────────────────────────────────────────────────────────────────────────────

@house_style
def plot_account(
    account: pd.DataFrame,                      # dataset, listed, missing, excluded, refused, used
    *,
    title:   str = "What became of every image that the releases list?",
) -> Figure:
    """One bar per data set over all listed images: used, excluded, refused, missing, each with its number beside it."""
    listed = account[account["listed"] > 0] if len(account) else account
    if listed.empty:
        return say_instead(title, "No data set lists any image.")
    note = "Each bar is all images that the data set's own table lists."
    figure, axes = new_figure(title=title, height=1.15 + 0.62 * len(listed), note=note)
    axes, left = axes[0, 0], np.zeros(len(listed))
    for fate, words in FATES.items():
        n = listed[fate].to_numpy()
        share = n / listed["listed"].to_numpy()
        if not n.any():
            continue
        colour = _FATE_COLOURS[fate]
        axes.barh(range(len(listed)), share, left=left, height=0.5, color=colour, edgecolor="white", linewidth=1, label=words, gid=fate)
        for i in np.flatnonzero(share > 0.03 + 0.011 * max(len(number(int(v))) for v in n)):
            axes.text(left[i] + share[i] / 2, i, number(int(n[i])), ha="center", va="center", color=text_on(colour))
        left = left + share
    for i, row in enumerate(listed.itertuples()):
        lost = [f"{number(int(getattr(row, fate)))} {fate}" for fate in ("excluded", "refused", "missing") if getattr(row, fate)]
        text = f"{number(int(row.listed))} listed: {join([f'{number(int(row.used))} used', *lost])}"
        axes.text(0, i + 0.4, text, va="center", fontsize=8.5, color=QUIET if row.used else ALARM)
    axes.set(xlim=(0, 1.0), ylim=(len(listed) - 0.35, -0.4))
    axes.set_yticks(range(len(listed)), [wrap(name, 24, 2) for name in listed["dataset"]])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handlelength=1)
    return figure


def describe_account(account: pd.DataFrame) -> list[str]:
    """Share used, excluded, refused and missing per data set; images present = used + excluded + refused."""
    if not len(account):
        return ["No data set was read."]
    sentences = []
    for row in account.itertuples():
        if not row.listed:
            sentences.append(f"{row.dataset}: lists no images.")
            continue
        parts = [f"{number(int(getattr(row, fate)))} {fate} ({percent(getattr(row, fate) / row.listed)})"
                 for fate in ("used", "excluded", "refused", "missing") if fate == "used" or getattr(row, fate)]
        sentences.append(f"{row.dataset}: of {count(int(row.listed), 'listed image')}, {join(parts)}.")
    present, used = int((account["listed"] - account["missing"]).sum()), int(account["used"].sum())
    left_out = int((account["excluded"] + account["refused"]).sum())
    if present == used + left_out:
        sentences.append(f"Every image present is accounted for: {number(present)} present = {number(used)} used + {number(left_out)} "
                         "excluded or refused.")
    else:
        sentences.append(f"The account does not add up: {number(present)} present, {number(used)} used and {number(left_out)} excluded "
                         "or refused.")
    return sentences


# ── why ──────────────────────────────────────────────────────────────────────────────────────────────────────────

def reasons_table(
    quarantine: pd.DataFrame,                   # lib.data.account.QUARANTINE: dataset, image_id, file, kind, reason
    *,
    rows:       int = 12,                       # so many reasons; what is left is one row more
) -> pd.DataFrame:
    """Why images were left out, most frequent first: data set, fate, reason, images.

    Reasons of one source and kind that differ only in numbers, file names, ids or quoted words are one row; what differs between
    them is "…" in it. The last row, where there are more than `rows`, is "and n more reasons", so the column images adds up.
    """
    keyed = quarantine[["dataset", "kind"]].assign(reason=_without_names(quarantine))
    keyed["pattern"] = keyed["reason"].map({reason: _VARIES.sub(_GAP, reason) for reason in keyed["reason"].unique()})
    found = [(dataset, FATES.get(kind, kind), _generalise(part["reason"], quarantine.loc[part.index, "reason"]), len(part))
             for (dataset, kind, _), part in keyed.groupby(["dataset", "kind", "pattern"], sort=False)]
    found.sort(key=lambda row: (-row[-1], row[:3]))
    if len(found) > rows:
        found = [*found[:rows], ("", "", f"and {count(len(found) - rows, 'more reason')}", sum(row[-1] for row in found[rows:]))]
    return pd.DataFrame(found, columns=["data set", "fate", "reason", "images"])


_GAP = "…"
_VARIES = re.compile(r"(?<=image_id )\S+|'[^']*'|[^\s'\"(),;:]*[^\s'\"(),;:.]\.[A-Za-z]{2,4}\b|\w*\d(?:[\w.,/-]*\w)?|…")


def _without_names(quarantine: pd.DataFrame) -> pd.Series:
    """The reasons without the row's own image_id and file."""
    reasons = []
    for row in quarantine.itertuples():
        reason = str(row.reason)
        for name in (row.file, row.image_id):
            if isinstance(name, str) and len(name) > 2 and name in reason:
                reason = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _GAP, reason)
        reasons.append(reason)
    return pd.Series(reasons, index=quarantine.index, dtype=object)


def _generalise(
    reasons: pd.Series,                         # of one pattern
    written: pd.Series,                         # the same as they stand in quarantine
) -> str:
    """One sentence for all of them: as written where they are the same, "…" where they differ."""
    if written.nunique() == 1:
        return str(written.iloc[0])
    parts = [set(each) for each in zip(*(_VARIES.findall(reason) for reason in reasons.unique()), strict=True)]
    shown = iter(each.pop() if len(each) == 1 else _GAP for each in parts)
    return _VARIES.sub(lambda _: next(shown), reasons.iloc[0])
