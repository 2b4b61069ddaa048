"""Notebook 06 in words: what fell where, for whom, and how the sets compare with real ones; each figure from its table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.report.arrange import UNKNOWN
from lib.report.words import capital, count, estimate, join, number, percent
from lib.stats.multiplicity import holm

# Statistic → its name in a figure, and which side of the real-vs-real band is the bad one.
STATISTICS: dict[str, tuple[str, str]] = {
    "kernel_distance":       ("kernel distance", "high"),
    "gaussian_discrepancy":  ("Gaussian discrepancy", "high"),
    "frechet_distance":      ("Fréchet distance", "high"),
    "precision":             ("precision", "low"),
    "recall":                ("recall", "low"),
    "density":               ("density", "low"),
    "coverage":              ("coverage", "low"),
    "inception_score":       ("Inception score", "low"),
    "diversity":             ("cosine distance within a class", "low"),
    "perceptual_diversity":  ("perceptual distance within a class", "low"),
    "structural_similarity": ("SSIM within a class", "high"),
    "sharpness":             ("sharpness (real: 1)", "low"),
    "hue_shift":             ("shift of a*, b*", "high"),
    "lightness_shift":       ("shift of L*", "both"),
    "recognised":            ("recognised as its class", "low"),
    "tone_error":            ("degrees off the tone", "high"),
    "similarity":            ("SSIM to the nearest real", "low"),
    "copies":                ("share of copies", "high"),
    "rejected":              ("share rejected", "high"),
}
_PUBLISHED = {"kernel_distance": "KID", "frechet_distance": "FID"}      # names that hold for Inception's features alone
NO_MODEL = {"pixels": "on the pixels", "checks": "by the checks"}      # "encoders" of the scores that are none
EVERYTHING = "all classes"


def statistic_name(statistic: str, encoder: str) -> str:
    """In words, with the published name only where its own network gave the features."""
    name = STATISTICS.get(statistic, (statistic, "both"))[0]
    return f"{name} ({_PUBLISHED[statistic]})" if encoder.split("@")[0] == "inception" and statistic in _PUBLISHED else name


def describe_funnel(
    steps: pd.DataFrame,                # of lib.curation.funnel: step, left, rejected, unmeasured, not_judged; "selected" is last
) -> list[str]:
    """How many passed of how many, the checks that took most, what could not be measured, and how many were selected."""
    if steps.empty or not steps["left"].iloc[0]:
        return ["No image was generated, so there is nothing to check."]
    (first, *_, last, selected), checks = steps["left"].astype(int), steps[1:-1]
    said = [f"{count(first, 'image')} went in and {count(last, 'image')} passed all checks ({percent(last / first, 1)})."]
    fell = checks[checks["rejected"] > 0].sort_values("rejected", ascending=False, kind="stable")
    if len(fell):
        said.append(f"Most fell at {join([f'{row.step} ({number(int(row.rejected))})' for row in fell.itertuples()], 3)}.")
    kinds = {"unmeasured": "could not be measured", "not_judged": "were not judged, as there was nothing to judge them by"}
    for column, words in kinds.items():
        found = checks[checks[column] > 0]
        if len(found):
            said.append(f"Images that {words}: {join([f'{number(int(row[column]))} by {row.step}' for _, row in found.iterrows()], 6)}.")
    if last:
        return [*said, f"Of those that passed {number(selected)} were selected for the quota."]
    return [*said, "Nothing is left: look at the examples below, and at the diagnosis, before any limit is loosened."]


def describe_rejection_rates(rates: pd.DataFrame) -> list[str]:
    """Which groups are rejected more than the others of their class; that none is, or that there is no other group to compare with."""
    warned, compared = rates[rates["warning"].astype(bool)], rates[rates["p"].notna()]
    if compared.empty:
        return ["Each class was generated for one group alone, so no group can be rejected more than another."]
    if warned.empty:
        return [f"No group is rejected more than the others of its class ({count(len(compared), 'comparison')}, Fisher's exact test "
                "with Holm's correction)."]
    said = []
    for row in warned.itertuples():
        group = UNKNOWN if pd.isna(row.group) else row.group
        said.append(f"Warning: {group} of {row.label} is rejected more than the other groups, {percent(row.share)} ({percent(row.low)} to "
                    f"{percent(row.high)}; p = {number(float(row.p_holm))} after Holm); the checks would undo the balance that was drawn.")
    return said


def outside(row: object, bad: str) -> bool:
    """Whether a score lies outside the real-vs-real band on its bad side."""
    over, under = row.value > row.floor_high, row.value < row.floor_low
    return bool((over and bad in ("high", "both")) or (under and bad in ("low", "both")))


def describe_set_scores(scores: pd.DataFrame, encoder: str, statistics: Sequence[str]) -> list[str]:
    """Per statistic the figure of all classes with its band, or with its test where it has one; classes that differ; what is not estimable.

    The band is of half the images, so a figure inside it is only said to lie there. p-values of classes are Holm's, at 0.05.
    """
    said, reasons = [], {}
    here = scores[scores["encoder"].eq(encoder) & scores["group"].isna()]
    for name in (name for name in statistics if here["statistic"].eq(name).any()):
        rows, title = here[here["statistic"].eq(name)], statistic_name(name, encoder)
        words, bad = capital(title if encoder in NO_MODEL else f"{title} ({encoder})"), STATISTICS.get(name, ("", "both"))[1]
        for row in rows[rows["value"].isna()].itertuples():
            reasons.setdefault(row.reason, []).append(f"{title} of {EVERYTHING if pd.isna(row.label) else row.label}")
        known, every = rows[rows["value"].notna() & rows["label"].notna()], rows[rows["value"].notna() & rows["label"].isna()]
        said += [f"{words} of {EVERYTHING}: {estimate(row.value, row.low, row.high)}, {_against(row, bad)}." for row in every.itertuples()]
        if len(known):
            tested = known["p_value"].notna().all()
            worse = holm(known["p_value"].to_numpy(dtype=float)) < 0.05 if tested else [outside(row, bad) for row in known.itertuples()]
            out = known.loc[np.asarray(worse, dtype=bool), "label"].astype(str).tolist()
            verb, what = (("differ", "from real images (p under 0.05 after Holm)") if tested else
                          ("lie", "outside the band of real images on the worse side"))
            said.append(f"{words}: of {count(len(known), 'class', 'classes')} that can be judged alone, "
                        f"{join(out, 8) if out else 'none'} {verb if len(out) > 1 else verb + 's'} {what}.")
    return said + [f"Not estimable: {join(names, 4)} ({reason})." for reason, names in reasons.items()]


def _against(row: object, bad: str) -> str:
    """A figure of set scores against real images, as the clause of a sentence."""
    flag, band = f"; {row.reason}" if row.reason else "", f"{number(row.floor_low)} to {number(row.floor_high)}"
    if row.encoder == "checks":
        note = f", {row.floor_note}" if row.floor_note else ""
        real = row.floor_note if pd.isna(row.floor) else f"held-out real images {estimate(row.floor, row.floor_low, row.floor_high)}{note}"
        return f"of {count(int(row.size), 'generated image')} that were measured ({real}{flag})"
    sizes = f"two halves of the real images: {band}, {count(int(row.size), 'image')} on each side{flag}"
    if pd.notna(row.p_value):
        return f"p = {number(float(row.p_value))} that real and generated images are drawn alike ({sizes})"
    return f"{'outside' if outside(row, bad) else 'not outside'} the band of real images on the worse side ({sizes})"


def describe_closest(scores: Sequence[float]) -> str:
    """How near copies come: the memorisation check's scores, where 1 is as near as 5 % of held-out real images come in any of its looks."""
    known = np.asarray(scores, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return "No distance to a training image could be measured."
    share = percent(float((known < 1).mean()), 1)
    return (f"Where 5 % of held-out real images come within a distance of 1 of a training image, {share} of "
            f"{count(len(known), 'generated image')} do; the nearest lies at {number(float(known.min()), 2)}.")
