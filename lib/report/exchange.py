"""What added images are worth in collected ones: the exchange rate as a table and in sentences (notebook 08).

Figures are in `lib/report/exchange_figures.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from lib.classify.arms import find_arm
from lib.report.baselines import with_stream
from lib.report.comparisons import ALL, EVERYBODY, names_of_groups, title_of
from lib.report.headline import table_record
from lib.report.words import NOTHING, count, join, number, signed
from lib.stats.exchange import ONE_ORDER, REAL

EVERY_CLASS = "every class"
OFF_CURVE   = "more than the curve reaches"
TEXTS = ("arm", "metric", "label", "group", "kind", "reason")       # columns of exchange.csv that hold no number


def exchange_table(rates: pd.DataFrame) -> pd.DataFrame:
    """`lib.stats.exchange.exchange_rates` for reading: a row per arm and cell, "40 (22–71)" collected images or why there is no number."""
    rows = _named(rates)
    return pd.DataFrame({
        "arm":              rows["arm"],
        "class":            rows["label"],
        "group":            rows["group"],
        "real images":      [_known(n) for n in rows["n_real"]],
        "added images":     [with_stream(row.n_added) if find_arm(row.arm).streams else _known(row.n_added) for row in rows.itertuples()],
        "gain":             [NOTHING if pd.isna(gain) else signed(gain) for gain in rows["gain"]],
        "worth, in collected images": [collected(row) for row in rows.itertuples()],
        "result":           [row.reason or row.kind for row in rows.itertuples()],
    })


def check_table(check: pd.DataFrame) -> pd.DataFrame:
    """`lib.stats.exchange.check_rates` for reading: predicted from fewer images, measured with more, and whether they agree."""
    rows = _named(check)
    return pd.DataFrame({
        "arm":       rows["arm"],
        "class":     rows["label"],
        "group":     rows["group"],
        "predicted": [_span(row.predicted, row.predicted_low, row.predicted_high, beyond=OFF_CURVE) for row in rows.itertuples()],
        "measured":  [_span(row.measured, row.measured_low, row.measured_high) for row in rows.itertuples()],
        "agree":     ["yes" if agree else "no" for agree in rows["agree"]],
    })


def curve_table(check: pd.DataFrame) -> pd.DataFrame:
    """`lib.stats.exchange.check_curve` for reading: how many times the images were really there, and what the curve makes of it."""
    rows = _named(check)
    return pd.DataFrame({
        "class":           rows["label"],
        "group":           rows["group"],
        "times the images": [f"{fraction:g}" for fraction in rows["fraction"]],
        "predicted":       [_span(row.predicted, row.low, row.high, 2, beyond=OFF_CURVE) for row in rows.itertuples()],
        "agree":           ["yes" if agree else "no" for agree in rows["agree"]],
    })


def exchange_record(
    rates:    pd.DataFrame,
    check:    pd.DataFrame,             # of check_rates
    curve:    pd.DataFrame,             # of check_curve
    findings: Sequence[str],            # of describe_check
) -> dict:
    """What the README shows of it: the rates of all classes together, and where there was a reserve, how they and the curve held."""
    tables = {"What added images are worth in collected ones": exchange_table(rates[rates["label"] == ALL])}
    if (check["label"] == ALL).any():
        tables["Exchange rates, predicted from fewer images and measured with more"] = check_table(check[check["label"] == ALL])
    if (curve["label"] == ALL).any():
        tables["More real images, read off the curve through fewer"] = curve_table(curve[curve["label"] == ALL])
    return {"findings": list(findings), "headlines": [table_record(table.astype(str), caption) for caption, table in tables.items()]}


def describe_exchange(rates: pd.DataFrame) -> list[str]:
    """Per arm: what its images are worth for everybody and for each group, in which cells beyond that, and why others have no rate."""
    if rates.empty:
        return ["No arm adds anything to the real images, so there is nothing to exchange."]
    if rates["reason"].str.startswith("classifier.learning_curve").all():
        return [f"What added images are worth in collected ones is not estimable ({rates['reason'].iloc[0]}): name shares of the training "
                "patients there, e.g. [0.25, 0.5, 0.75], and the real arm is trained on them too."]
    rows, sentences = _named(rates), []
    known = rows[rows["reason"] == ""]
    for arm, part in known.groupby("arm", sort=False):
        sentences += [_sentence(row) for row in part[part["label"] == EVERY_CLASS].itertuples()]
        cells = part[part["label"] != EVERY_CLASS]
        good, bad = ([f"{_whom(row)} {collected(row)}" for row in cells[cells["kind"] == kind].itertuples()] for kind in ("worth", "costs"))
        if len(cells):
            costs = f", and {number(len(bad))} {'cost' if len(bad) > 1 else 'costs'} images ({join(bad, 6)})" if bad else ""
            sentences.append(f"{arm}, class by class: of {count(len(cells), 'cell')} with a rate, {_number_or_none(len(good))} "
                             f"{'are' if len(good) > 1 else 'is'} worth something" + (f" ({join(good, 6)})" if good else "") + costs + ".")
    return [*sentences, *_silent(rows[rows["reason"] != ""]), *_shape(known)]


def describe_check(
    check: pd.DataFrame,                # of check_rates
    curve: pd.DataFrame,                # of check_curve
    *,
    fractions: Sequence[float] = (),    # that the real arm was trained on, of lib.stats.exchange.fractions_of
) -> list[str]:
    """How often prediction and measurement agree, how often within two ends (an open interval is easily met), and which cells do not."""
    sentences = []
    if len(curve):
        off = [f"{_whom(row)} at {row.fraction:g} times, predicted as {_span(row.predicted, row.low, row.high, 2, beyond=OFF_CURVE)}"
               for row in _named(curve).itertuples() if not row.agree]
        which = f" ({join(off, 4)})" if off else ""
        high, low = (int(side(curve["predicted"], curve["fraction"]).sum()) for side in (pd.Series.gt, pd.Series.lt))
        sentences.append(f"Asked what more real images are worth, the curve through fewer of them is contradicted in "
                         f"{_number_or_none(len(off))} of {count(len(curve), 'case')}{which}; {_closed(curve)}. What it names as likeliest "
                         f"is too much in {number(high)} and too little in {number(low)}.")
    if len(check):
        off = [f"{row.arm} for {_whom(row)}" for row in _named(check).itertuples() if not row.agree]
        which = f" ({join(off, 4)})" if off else ""
        sentences.append(f"Of {count(len(check), 'exchange rate')} that could be both predicted and measured and are not nothing by both, "
                         f"{_number_or_none(len(off))} {'are' if len(off) > 1 else 'is'} contradicted{which}; {_closed(check)}.")
    if sentences:
        return sentences
    if any(fraction > 1 for fraction in fractions):
        return ["The predicted rates could not be checked: the real arm was trained on images of the reserve, too, but in no cell is there "
                "both a predicted and a measured rate of an arm that is worth anything (the tables say why)."]
    return ["The predicted rates could not be checked: that takes real images in reserve, and fractions over 1 in "
            "classifier.learning_curve."]


def collected(row) -> str:
    """A row's rate in collected images, "40 (22–71)"; in multiples of the images where their number is not known."""
    if row.reason:
        return NOTHING
    most = row.limit - 1
    if row.n_real:
        return _span(row.images, row.images_low, row.images_high, beyond=f"over {number(float(most * row.n_real), 0)}")
    return _span(row.fraction - 1, row.low - 1, row.high - 1, 2, beyond=f"over {number(float(most), 2)}") + " times as many"


def _sentence(row) -> str:
    subject = count(int(row.n_added), "added image") if row.n_added and not find_arm(row.arm).streams else "what it does"
    start, worth = f"{row.arm} for {row.group}:", collected(row)
    if row.kind == "worth":
        return f"{start} {subject} ≈ {worth} collected ones."
    if row.kind == "costs":
        return f"{start} worth less than nothing, as if real images were taken away: {worth} collected ones."
    if row.kind == "nothing shown":
        return f"{start} worth nothing here that could be shown: {worth} collected ones."
    return f"{start} these data cannot tell what it is worth: {worth} collected ones."


def _silent(rows: pd.DataFrame) -> list[str]:
    """Why rows have no rate: one sentence for all arms that lack one for the same reason in the same cells."""
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows.itertuples():
        cells.setdefault((row.reason, row.arm), []).append(_whom(row))
    arms: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (why, arm), found in cells.items():
        arms.setdefault((why, tuple(found)), []).append(arm)
    return [f"What {join(mine, 6)} {'is' if len(mine) == 1 else 'are'} worth for {join(found, 6)} is not estimable: {why}."
            for (why, found), mine in arms.items()]


def _closed(rows: pd.DataFrame) -> str:
    """In how many rows an interval could have failed on either side: an open one is easily met."""
    closed = int(rows["closed"].sum())
    easy = "" if closed == len(rows) else ", and an open one is easily met"
    return f"{_number_or_none(closed)} of them {'have' if closed > 1 else 'has'} both ends of every interval{easy}"


def _number_or_none(how_many: int) -> str:
    return number(how_many) if how_many else "none"


def _shape(known: pd.DataFrame) -> list[str]:
    """Which curve the rates were read off, and what their intervals leave out."""
    cells = known.drop_duplicates(["label", "group"])
    if not len(cells):
        return []
    straight = int(cells["exponent"].eq(0).sum())
    shapes = {"linear in the logarithm of their number": straight, "an inverse power law": len(cells) - straight}
    shown = join(f"{shape} in {number(n)} of {count(len(cells), 'cell')}" for shape, n in shapes.items() if n)
    return [f"{title_of(known['metric'].iloc[0])} of arm {REAL} over its training images is taken as {shown}, and not believed beyond "
            f"{number(known['limit'].max(), 0)} times the images.", ONE_ORDER]


def _span(value: float, low: float, high: float, digits: int = 0, beyond: str = "more than was trained") -> str:
    """"40 (22–71)", "40 (22 or more)", "over 120 (60 or more)", "−20 (12 or less)"; `beyond` stands for a value without end."""
    middle = beyond if value == math.inf else "less than was trained" if value == -math.inf else number(float(value), digits)
    ends = [number(float(end), digits) for end in (low, high)]
    if math.isinf(low) or math.isinf(high):
        if math.isinf(low) and math.isinf(high):
            return middle if low == high else f"{middle} (no end)"
        return f"{middle} ({ends[0]} or more)" if high == math.inf else f"{middle} ({ends[1]} or less)"
    return f"{middle} ({ends[0]}{' to ' if '−' in ''.join(ends) else '–'}{ends[1]})"


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Groups and classes in words."""
    return names_of_groups(rows).assign(label=[EVERY_CLASS if label == ALL else label for label in rows["label"]])


def _whom(row) -> str:
    """A cell in words: "melanoma × V–VI", "V–VI", "melanoma", "everybody"."""
    parts = [name for name, plain in ((row.label, EVERY_CLASS), (row.group, EVERYBODY)) if name != plain]
    return " × ".join(parts) or EVERYBODY


def _known(number_of: int) -> str:
    return number(int(number_of)) if number_of else NOTHING
