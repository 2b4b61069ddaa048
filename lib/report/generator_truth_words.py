"""What the oracle says of each generator (notebook 11), in words and in tables for reading, and the targets that it should meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lib.diffusion.base.agreement import BANDS, DRAWN
from lib.report.words import capital, join, number, percent

SEEN, UNSEEN = BANDS                                    # types, by whether the base model was trained on them
STARTS = {"plain", "anchored"}
ACCURACIES = ("diagnosis", "tone", "tone_within_one")   # of the oracle
WANTED = {                                              # what a documented run should reach; a share of the drawn phantoms' own figure
    "base class": 0.9, "lora class": 0.85, "lora tone": 0.85, "coverage": 0.8, "distance": 0.8,
    "tone error": 1 / 3,                                # at most: anchored start over plain start
}


def title_of(variant: str, start: str) -> str:
    """ "base, plain start"; drawn phantoms have no start."""
    return "drawn phantoms" if variant == DRAWN else f"{variant}, {start} start"


def titles(table: pd.DataFrame) -> list[str]:
    """Of every row's variant and start."""
    return [title_of(variant, start) for variant, start in zip(table["variant"], table["start"], strict=True)]


def accuracy_table(ceilings: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The oracle's accuracy on drawn phantoms, a row per skin type."""
    return pd.DataFrame({what: ceilings[what]["by_tone"] for what in ACCURACIES}).rename_axis(index="skin type")


def agreement_table(by_band: pd.DataFrame) -> pd.DataFrame:
    """`agreement(judged)` for reading: the share and, in brackets, its ratio to the ceiling."""
    table = pd.DataFrame({"generator": titles(by_band), "types": by_band["part"], "pictures": by_band["images"]})
    for what, name in (("label", "class"), ("tone", "type")):
        shares = zip(by_band[f"{what}_agrees"], by_band[f"{what}_ratio"], by_band[f"{what}_ceiling"], strict=True)
        table[f"{name} as asked"] = [f"{percent(share)} ({number(float(ratio), 2)} of the ceiling {percent(ceiling)})"
                                     for share, ratio, ceiling in shares]
    return table


def diversity_table(varied: pd.DataFrame, encoder: str) -> pd.DataFrame:
    """`diversity` for reading."""
    return pd.DataFrame({
        "generator": titles(varied), "types": varied["part"], "pictures": varied["images"],
        "coverage": varied["coverage"], "of drawn phantoms' own": varied["coverage_ratio"],
        f"distance within a cell, {encoder} features": varied["distance"], "of that of drawn phantoms": varied["distance_ratio"],
    })


def describe_agreement(by_band: pd.DataFrame) -> list[str]:
    """What learning changed for the types that the base model never saw, and what it cost for those it knew."""
    sentences = []
    for band, whom in ((UNSEEN, "which the base model never saw"), (SEEN, "which it was trained on")):
        rows = by_band[by_band["part"] == band]
        if len(rows):
            parts = [f"{title}: {percent(row.label_agrees)} and {percent(row.tone_agrees)}"
                     for title, row in zip(titles(rows), rows.itertuples(), strict=True)]
            sentences.append(f"Types {band}, {whom}: pictures with the class and with the type that was asked for. {'; '.join(parts)}; "
                             f"the ceilings: {percent(rows['label_ceiling'].iloc[0])} and {percent(rows['tone_ceiling'].iloc[0])}.")
    return sentences


def describe_skin(errors: pd.DataFrame) -> list[str]:
    """Mean absolute error of skin tone by variant, plain and anchored."""
    sentences = []
    for variant, rows in errors.groupby("variant", sort=False):
        of = rows.set_index("start")["error"]
        said = join([f"{number(float(error), 1)}° ({start} start)" for start, error in of.items()])
        left = f"; the anchored start leaves {percent(of['anchored'] / of['plain'])} of the error" if set(of.index) >= STARTS else ""
        sentences.append(f"{capital(variant)}: the skin's median ITA is off by {said}, on average over the six types{left}.")
    return sentences


def describe_diversity(varied: pd.DataFrame) -> list[str]:
    """Which generators are less varied than drawn phantoms by more than a fifth."""
    narrow = varied[(varied["coverage_ratio"] < WANTED["coverage"]) | (varied["distance_ratio"] < WANTED["distance"])]
    if narrow.empty:
        return ["No generator falls short of drawn phantoms in variety by more than a fifth, in either figure."]
    return [f"{capital(title)}, types {row.part}: coverage {number(float(row.coverage_ratio), 2)} and distance within a cell "
            f"{number(float(row.distance_ratio), 2)} of those of drawn phantoms."
            for title, row in zip(titles(narrow), narrow.itertuples(), strict=True)]


def check_targets(
    by_band: pd.DataFrame,                  # of `agreement`
    errors:  pd.DataFrame,                  # of `tone_errors`
    varied:  pd.DataFrame,                  # of `diversity`
) -> pd.DataFrame:
    """A row per target that the study can speak to: target, wanted, measured, met."""
    lora = next((variant for variant in by_band["variant"] if "LoRA" in variant), "")
    base, learnt = (_only(by_band, "base", "plain", SEEN), _only(by_band, lora, "anchored", UNSEEN))
    variety = _only(varied, lora, "anchored", UNSEEN)
    off = errors[errors["variant"] == "base"].set_index("start")["error"]
    ratio = off["anchored"] / off["plain"] if set(off.index) >= STARTS else None
    who = f"{lora}, anchored start, types {UNSEEN}"
    rows = [
        (f"base, plain start, types {SEEN}: class agreement over the ceiling", "base class", base and base["label_ratio"]),
        (f"{who}: class agreement over the ceiling", "lora class", learnt and learnt["label_ratio"]),
        (f"{who}: type agreement over the ceiling", "lora tone", learnt and learnt["tone_ratio"]),
        (f"{who}: coverage over that of drawn phantoms", "coverage", variety and variety["coverage_ratio"]),
        (f"{who}: perceptual distance within a cell over that of drawn phantoms", "distance", variety and variety["distance_ratio"]),
        ("base: error of skin tone, anchored start over plain start", "tone error", ratio),
    ]
    known = [(target, key, float(measured)) for target, key, measured in rows if measured is not None]
    return pd.DataFrame({
        "target":   [target for target, _, _ in known],
        "wanted":   [f"{'at most' if key == 'tone error' else 'at least'} {number(WANTED[key], 2)}" for _, key, _ in known],
        "measured": [measured for *_, measured in known],
        "met":      [measured <= WANTED[key] if key == "tone error" else measured >= WANTED[key] for _, key, measured in known],
    })


def targets_table(targets: pd.DataFrame) -> pd.DataFrame:
    """`check_targets` for reading."""
    return targets.assign(measured=[number(value, 2) for value in targets["measured"]],
                          met=["yes" if met else "no" for met in targets["met"]])


def describe_targets(targets: pd.DataFrame) -> list[str]:
    """How many are met, and the missed ones with their figures."""
    if targets.empty:
        return ["The study draws none of the variants that a target speaks of."]
    missed = targets[~targets["met"]]
    if missed.empty:
        return [f"All {number(len(targets))} targets are met."]
    return [f"{number(int(targets['met'].sum()))} of {number(len(targets))} targets are met. Missed: "
            + join([f"{row.target} ({number(row.measured, 2)}, {row.wanted})" for row in missed.itertuples()]) + "."]


def _only(table: pd.DataFrame, variant: str, start: str, part: str) -> dict | None:
    """The one row of a variant, start and band."""
    rows = table[(table["variant"] == variant) & (table["start"] == start) & (table["part"] == part)]
    return None if rows.empty else rows.iloc[0].to_dict()
