"""What is wrong with a generator, class by class, in words with the evidence; and whether to train it again before its images are used.

Everything is read from the table of `lib.curation.set_scores`, so every sentence can be traced to a row of it. A trouble holds where the
figure is past its threshold and also outside what real images show: one half of them against the other or, of the checks' scores, when
judged as if they had been generated. Shares of rejected images and of copies are known exactly, so their limits hold by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.curation.set_statistics import CHECKS, PIXELS
from lib.metrics.estimate import number
from lib.study.curation import Gate

BLURRED      = 0.5          # variance of the Laplacian, as a share of that of real images
WRONG_COLOUR = 4.0          # units of a*, b* between the mean colours; 2.3 is just noticeable side by side (Mahy et al. 1994)
NOT_DISTINCT = 0.5          # share recognised as the label asked for, as a share of that of real images
WRONG_TONE   = 15.0         # degrees of ITA off the asked tone, median; the groups of Groh et al. 2021 are 11–25 wide
RETRAIN, GO_ON, BUT, UNSURE = "retrain", "go on", "go on, but", "cannot tell"
_ABSOLUTE = ("copies", "rejected")             # statistics whose limits hold whatever real images show


@dataclass(frozen=True)
class Finding:
    """One answer for one label."""

    label:      str
    name:       str                 # blurred, wrong colour, collapsed, not distinct, copies, wrong tone
    holds:      bool | None         # None: it cannot be told
    figure:     float               # NaN where there is none
    threshold:  float
    floor_low:  float               # the same of real images
    floor_high: float
    sentence:   str
    reason:     str = ""            # why it cannot be told


@dataclass(frozen=True)
class Decision:
    """Whether to go on, and what was held against the study's limits."""

    decision: str                   # retrain; go on; "go on, but" where a trouble holds that no limit speaks of; cannot tell
    limits:   pd.DataFrame          # label (null: all), limit, value, most, least, floor_low, floor_high, past (null: cannot tell), reason,
                                    # floor (what real images show, in words)
    troubles: tuple[Finding, ...]   # that hold, and that no limit speaks of: blurred, wrong colour, not distinct, wrong tone


@dataclass(frozen=True)
class _Trouble:
    """How one trouble is told from a row of the table."""

    name:      str
    encoder:   str
    statistic: str
    threshold: float
    below:     bool                 # it holds under the threshold, not over it
    relative:  bool                 # the figure is divided by that of real images
    what:      str                  # the figure in words, "{}" where it stands
    advice:    str
    digits:    int = 2

    def find(self, label: str, row: pd.Series | None) -> Finding:
        """Whether the label has this trouble."""
        reason, scale = _unknown(row), 1.0 if row is None or not self.relative else row["floor"]
        if not reason and not scale > 0:
            reason = "the figure of real images is 0" if scale <= 0 else row["floor_note"]
        if reason:
            sentence = f"Cannot tell whether {label} is {self.words}: {reason}."
            return Finding(label, self.name, None, np.nan, self.threshold, np.nan, np.nan, sentence, reason)
        figure, low, high = (float(row[name]) / scale for name in ("value", "floor_low", "floor_high"))
        holds = _past(self.statistic, figure, low, high, **{"least" if self.below else "most": self.threshold})
        limit = f"{'under' if self.below else 'over'} {number(self.threshold, self.digits)} is too {'little' if self.below else 'much'}"
        facts = f"{self.what.format(number(figure, self.digits))} ({limit}; {_floor(row, low, high, self.digits)})"
        verdict = self.words if holds else f"not {self.words}" if not self.words.startswith("not ") else self.words[4:]
        return Finding(label, self.name, bool(holds), figure, self.threshold, low, high,
                       f"{label} is {verdict}: {facts}{'; ' + self.advice if holds else ''}.")

    @property
    def words(self) -> str:
        """The name as it stands after "is"."""
        return {"wrong colour": "of the wrong colour", "wrong tone": "of the wrong tone", "copies": "copied"}.get(self.name, self.name)


def diagnose(
    scores:     pd.DataFrame,       # of `set_scores`, with the checks' scores among them
    gate:       Gate,               # its limits of diversity and copies are the thresholds of collapsed and of copies
    *,
    perceptual: str,                # encoder whose perceptual distance tells a collapse
) -> list[Finding]:
    """Six findings for each label, whether they hold or not."""
    labels = [label for label in scores["label"].dropna().unique()]
    return [trouble.find(label, _row(scores, trouble.encoder, trouble.statistic, label))
            for label in labels for trouble in _troubles(gate, perceptual)]


def sentences(findings: Sequence[Finding]) -> list[str]:
    """What holds, label by label; then what cannot be told, labels together; labels without any trouble are named last."""
    held = [finding.sentence for finding in findings if finding.holds]
    reasons: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        if finding.holds is None:
            reasons.setdefault((finding.name, finding.reason), []).append(finding.label)
    unknown = [f"Cannot tell for {', '.join(labels)}: {name} ({reason})." for (name, reason), labels in reasons.items()]
    troubled = {finding.label for finding in findings if finding.holds is not False}
    sound = list(dict.fromkeys(finding.label for finding in findings if finding.label not in troubled))
    return [*held, *unknown, *([f"None of the six troubles: {', '.join(sound)}."] if sound else [])]


def decide(
    scores:     pd.DataFrame,       # of `set_scores`, with the checks' scores among them
    gate:       Gate,               # limits of the study
    *,
    encoder:    str,                # whose kernel distance counts
    perceptual: str,                # whose perceptual distance counts
) -> Decision:
    """Each limit of the study against each label and all images together: retrain where one is past, and real images are not.

    `value` is in the unit of the limit: the kernel distance in units of the floor's upper end, diversity and similarity relative to
    real images, the others as shares, whose limits hold whatever real images show. A trouble of `diagnose` that no limit speaks of
    turns "go on" into "go on, but". Where no limit can be judged the decision is "cannot tell".
    """
    rows = []
    for label in [None, *scores["label"].dropna().unique()]:
        for limit, of, statistic, options in (
            ("distance",   encoder,    "kernel_distance",      {"most": gate.distance, "scale": "floor_high"}),
            ("diversity",  perceptual, "perceptual_diversity", {"least": gate.diversity, "scale": "floor"}),
            ("similarity", CHECKS,     "similarity",           {"least": gate.similarity, "scale": "floor"}),
            ("rejected",   CHECKS,     "rejected",             {"most": gate.rejected}),
            ("copies",     CHECKS,     "copies",               {"most": gate.copies}),
        ):
            rows.append(_judge(label, limit, _row(scores, of, statistic, label), **options))
    limits = pd.DataFrame(rows).astype({"past": "boolean"})
    known = limits["past"].dropna()
    troubles = tuple(finding for finding in diagnose(scores, gate, perceptual=perceptual)
                     if finding.holds and finding.name not in ("collapsed", "copies"))
    sound = BUT if troubles else GO_ON
    return Decision(RETRAIN if known.any() else sound if len(known) else UNSURE, limits, troubles)


def describe_decision(decision: Decision) -> list[str]:
    """The decision, what is past its limit and by how much, the troubles that no limit speaks of, and how much could not be judged."""
    limits = decision.limits
    past, unknown = limits[limits["past"].fillna(False)], limits[limits["past"].isna()]
    said = []
    if decision.decision == UNSURE:
        said.append("Cannot tell whether to train again: none of the limits could be judged.")
    elif decision.decision in (GO_ON, BUT):
        but = ", but look at the troubles below" if decision.troubles else ""
        said.append(f"Go on{but}: none of the {number(len(limits) - len(unknown))} figures that could be judged is past its "
                    "limit.")
    else:
        said.append(f"Retrain: {number(len(past))} of {number(len(limits) - len(unknown))} figures are past their limit.")
    for row in past.itertuples():
        bound = f"over the limit of {number(row.most, 2)}" if pd.notna(row.most) else f"under the limit of {number(row.least, 2)}"
        said.append(f"{_name(row.label)}: {_MEANING[row.limit].format(number(row.value, 2))}, {bound} ({row.floor}).")
    if decision.troubles:
        names = {one.name: ", ".join(other.label for other in decision.troubles if other.name == one.name) for one in decision.troubles}
        said.append(f"Troubles that no limit of the study speaks of: {'; '.join(f'{name} ({labels})' for name, labels in names.items())}.")
    for reason, rows in unknown.groupby("reason", sort=False):
        names = dict.fromkeys(f"{row.limit} of {_name(row.label)}" for row in rows.itertuples())
        shown = [*names][:4]
        more = f" and {number(len(names) - len(shown))} more" if len(names) > len(shown) else ""
        said.append(f"Not judged: {', '.join(shown)}{more} ({reason}).")
    return said


_MEANING = {
    "distance":   "the kernel distance is {} times the upper end of the real-vs-real floor",
    "diversity":  "the perceptual distance within a class is {} times that of real images",
    "similarity": "the SSIM to the nearest real image is {} times that of held-out real images",
    "rejected":   "the checks reject a share of {}",
    "copies":     "a share of {} is rejected as memorised",
}


def _troubles(gate: Gate, perceptual: str) -> list[_Trouble]:
    return [
        _Trouble("blurred", PIXELS, "sharpness", BLURRED, True, False, "the variance of the Laplacian is {} times that of real images",
                 "train longer, or on larger images"),
        _Trouble("wrong colour", PIXELS, "hue_shift", WRONG_COLOUR, False, False, "the mean colour is {} units of a*, b* off",
                 "train longer; with diffusion see that generation.start is anchored", digits=1),
        _Trouble("collapsed", perceptual, "perceptual_diversity", gate.diversity, True, True,
                 f"by perceptual distance in {perceptual} features two images differ {{}} times as much as two real ones",
                 "draw with less guidance, or train on more varied images"),
        _Trouble("not distinct", CHECKS, "recognised", NOT_DISTINCT, True, True,
                 "classifiers trained on real images alone know its images for it {} times as often as real ones",
                 "train longer; with diffusion raise generation.guidance"),
        _Trouble("copies", CHECKS, "copies", gate.copies, False, False, "a share of {} lies too near to training images",
                 "train fewer steps, or on more images"),
        _Trouble("wrong tone", CHECKS, "tone_error", WRONG_TONE, False, False, "the median skin is {}° of ITA off the tone asked for",
                 "train on more images of this tone; with diffusion see that generation.start is anchored", digits=1),
    ]


def _row(scores: pd.DataFrame, encoder: str, statistic: str, label: str | None) -> pd.Series | None:
    """The row over all groups of a label, or over everything."""
    here = scores[scores["encoder"].eq(encoder) & scores["statistic"].eq(statistic) & scores["group"].isna()
                  & (scores["label"].isna() if label is None else scores["label"].eq(label))]
    return None if here.empty else here.iloc[0]


def _judge(label: str | None, limit: str, row: pd.Series | None, *, most: float = np.nan, least: float = np.nan,
           scale: str | None = None) -> dict:
    out = {"label": label, "limit": limit, "value": np.nan, "most": most, "least": least, "floor_low": np.nan, "floor_high": np.nan,
           "past": None, "reason": _unknown(row), "floor": ""}
    if out["reason"]:
        return out
    unit = 1.0 if scale is None else float(row[scale])
    if not unit > 0:
        return out | {"reason": row["floor_note"] if np.isnan(unit) else "the figure of real images is not above 0"}
    value, low, high = (float(row[name]) / unit for name in ("value", "floor_low", "floor_high"))
    past = _past(row["statistic"], value, low, high, **({"least": least} if np.isnan(most) else {"most": most}))
    return out | {"value": value, "floor_low": low, "floor_high": high, "past": past, "floor": _floor(row, low, high, 2)}


def _unknown(row: pd.Series | None) -> str:
    """Why there is no figure; empty where there is one."""
    return "it was not measured" if row is None else row["reason"] if pd.isna(row["value"]) else ""


def _past(statistic: str, figure: float, low: float, high: float, *, most: float | None = None, least: float | None = None) -> bool:
    """Past the limit and, unless that is absolute, outside what real images show where this is known."""
    if statistic in _ABSOLUTE:
        low = high = np.nan
    return bool(figure > np.fmax(most, high) if least is None else figure < np.fmin(least, low))


def _floor(row: pd.Series, low: float, high: float, digits: int) -> str:
    """What real images show, in words."""
    if row["encoder"] != CHECKS:
        return f"two halves of the real images {number(low, digits)} to {number(high, digits)}"
    if pd.isna(row["floor"]):
        return row["floor_note"]
    note = f", {row['floor_note']}" if row["floor_note"] else ""
    return f"held-out real images {number(low, digits)} to {number(high, digits)}{note}"


def _name(label: object) -> str:
    return "all images" if pd.isna(label) else str(label)
