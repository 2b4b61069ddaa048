"""What a gain costs: minutes of each arm, its generator's included, for each point gained over the baseline (notebook 08)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.classify.arms import find_arm
from lib.report.comparisons import higher_is_better, is_estimable, title_of
from lib.report.style import ALARM, ARMS, INK, QUIET, arm_colours, house_style, legend_below, new_figure, say_instead, wrap
from lib.report.words import NOTHING, join, number, signed

POINT = 0.01                            # of the measure's scale
ROW   = 0.3                             # inches

NO_GAIN, UNKNOWN, NO_TIME = "nothing gained", "gain not estimable", "time not known"        # why there is no price

_NUMBERS = ("training", "generator", "together", "gain", "gain_low", "gain_high", "price", "price_low", "price_high")


def price_gains(
    spent:    pd.DataFrame,             # of lib.workflow.spent.time_spent
    changes:  pd.DataFrame,             # of lib.stats.pairs: one measure and group, the mean over networks, against the baseline
    *,
    metric:   str,
    baseline: str,
) -> pd.DataFrame:
    """A row per arm: training, generator, together (minutes), gain, gain_low, gain_high (points, positive is better), price, price_low,
    price_high (minutes per point), why (there is no price).

    The price is that of using the arm once: one training, and its generator. It has an upper end only where the interval of the gain lies
    above zero, and is a number only where something was gained. A point is 0.01 of the measure.
    """
    sign, found = (1 if higher_is_better(metric) else -1) / POINT, changes.set_index("arm")
    rows = []
    for row in spent.itertuples():
        together, ends = row.training + row.generator, (math.nan,) * 3
        if row.arm in found.index and is_estimable(found.loc[row.arm]):
            value, low, high = (sign * float(found.loc[row.arm, name]) for name in ("value", "low", "high"))
            ends = (value, min(low, high), max(low, high))
        price, why = _price(together, *ends)
        rows.append((row.arm, row.training, row.generator, together, *ends, *price, "baseline" if row.arm == baseline else why))
    return pd.DataFrame(rows, columns=["arm", *_NUMBERS, "why"]).astype(dict.fromkeys(_NUMBERS, float))


def cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """`price_gains` for reading."""
    return pd.DataFrame({
        "arm":                      costs["arm"],
        "one training, minutes":    [_minutes(x) for x in costs["training"]],
        "its generator, minutes":   [NOTHING if x == 0 else _minutes(x) for x in costs["generator"]],
        "together":                 [_minutes(x) for x in costs["together"]],
        "points gained":            [_gain(row) for row in costs.itertuples()],
        "minutes per point gained": [price_in_words(row) for row in costs.itertuples()],
    })


def price_in_words(row) -> str:
    """"4.2 (2.0–11.3)"; "at least 2.0" where no gain at all is not ruled out; else why there is none."""
    if row.why:
        return row.why if row.why in ("baseline", UNKNOWN) else f"not estimable: {row.why}"
    if math.isinf(row.price_high):
        return f"at least {_minutes(row.price_low)}: that nothing is gained is not ruled out"
    return f"{_minutes(row.price)} ({_minutes(row.price_low)}–{_minutes(row.price_high)})"


def describe_cost(
    costs:   pd.DataFrame,              # of price_gains
    spent:   pd.DataFrame,              # of lib.workflow.spent.time_spent
    *,
    metric:  str,
    whom:    str,                       # whose points: everybody, or a group
    threads: int,                       # per job
) -> list[str]:
    """What the minutes are minutes of, then the arms whose gain is sure, by their price, and those that gained nothing for sure."""
    if costs.empty:
        return ["Nothing was trained, so nothing was spent."]
    devices = list(dict.fromkeys(device for row in spent["devices"] for device in row))
    where = join("one thread of a CPU" if device == "CPU" and threads == 1 else f"{threads} threads of a CPU" if device == "CPU" else device
                 for device in devices)
    sentences = [f"Minutes on {where or 'an unknown device'}, notebooks with their figures included; a point is {number(POINT, 2)} of "
                 f"{title_of(metric)} for {whom}. A generator is paid once, however many trainings use its images. A job counts "
                 "with its last run, so these are at least the minutes it took: what that run found done by an earlier one (trained "
                 "networks, drawn images) is not in them."]
    rows = list(costs.itertuples())
    sure = sorted((row for row in rows if not row.why and not math.isinf(row.price_high)), key=lambda row: row.price)
    if sure:
        sentences.append(f"Minutes for each point gained: {join((f'{row.arm} {price_in_words(row)}' for row in sure), 8)}.")
    open_ = [row.arm for row in rows if not row.why and math.isinf(row.price_high)]
    if open_:
        sentences.append(f"That nothing was gained is not ruled out for {join(open_, 8)}: no upper end to the price.")
    lost = [row.arm for row in rows if row.why == NO_GAIN]
    if lost:
        sentences.append(f"Nothing gained, so no price: {join(lost, 8)}.")
    collected = [row.arm for row in rows if find_arm(row.arm).collected]
    if collected:
        sentences.append(f"What it took to collect the further images of {join(collected)} is not in these minutes.")
    unknown = list(dict.fromkeys(job for row in spent["unknown"] for job in row))
    if unknown:
        sentences.append(f"How long {join(unknown, 4)} took is not known.")
    return sentences


@house_style
def plot_cost(
    costs:  pd.DataFrame,               # of price_gains
    *,
    metric: str,
    whom:   str,                        # whose points
    arms:   Sequence[str],              # in the study's order, for their colours
    title:  str = "What does each arm take, and what does it gain?",
) -> Figure:
    """A row per arm: minutes of one training and of its generator; beside them the points gained with their interval, and the price."""
    costs = costs[costs["together"].notna()]
    if costs.empty:
        return say_instead(title, "How long the arms took is not known.")
    places, colours = np.arange(len(costs)), arm_colours(arms)
    note = (f"A point is {number(POINT, 2)} of {title_of(metric)} for {wrap(whom, 30, 1)}. At the right: minutes for each point gained, "
            "generator included.")
    figure, axes = new_figure(2, 2, title=title, height=ROW * len(costs) + 1.35, note=note, height_ratios=[ROW * len(costs) + 0.75, 0.3],
                              width_ratios=[1.1, 1])
    bars, gains = axes[0]
    handles = [bars.barh(places, costs["training"], height=0.62, color=QUIET, label="one training")]
    if costs["generator"].any():
        handles.append(bars.barh(places, costs["generator"], left=costs["training"], height=0.62, color=ARMS[5], label="its generator"))
    bars.set_yticks(places, [wrap(arm, 32, 1) for arm in costs["arm"]])
    bars.set_xlabel("minutes")
    gains.axvline(0, color=QUIET, linewidth=1)
    for place, row in zip(places, costs.itertuples(), strict=True):
        known = not math.isnan(row.gain)
        if known:
            gains.plot([row.gain_low, row.gain_high], [place, place], color=colours.get(row.arm, QUIET), linewidth=2, gid="interval")
            gains.plot(row.gain, place, "o", color=colours.get(row.arm, QUIET), markeredgecolor="white", gid="point")
        gains.text(1.02, place, wrap(_short(row), 24, 1), transform=gains.get_yaxis_transform(), va="center", fontsize=8, gid="price",
                   color=ALARM if row.why and row.why != "baseline" else INK)
    gains.set_yticks(places, [""] * len(places))
    gains.set_xlabel("points gained")
    for axis in (bars, gains):
        axis.set_ylim(len(costs) - 0.5, -0.5)
        axis.grid(True, axis="x")
        axis.tick_params(length=0)
        axis.spines["left"].set_visible(False)
    legend_below(figure, axes, handles, 2)
    return figure


def _price(minutes: float, gain: float, low: float, high: float) -> tuple[tuple[float, float, float], str]:
    """Minutes per point with both ends, and why there is none."""
    none = (math.nan,) * 3
    if math.isnan(gain):
        return none, UNKNOWN
    if gain <= 0:
        return none, NO_GAIN
    if math.isnan(minutes):
        return none, NO_TIME
    return (minutes / gain, minutes / high, minutes / low if low > 0 else math.inf), ""


def _minutes(minutes: float) -> str:
    """"12.3", "0.04": under a minute with one more digit."""
    return number(float(minutes), 1 if minutes >= 1 else 2)


def _gain(row) -> str:
    if row.why == "baseline" or math.isnan(row.gain):
        return NOTHING if row.why == "baseline" else "not estimable"
    return f"{signed(row.gain, 1)} ({signed(row.gain_low, 1)} to {signed(row.gain_high, 1)})"


def _short(row) -> str:
    if row.why:
        return row.why
    return f"at least {_minutes(row.price_low)}" if math.isinf(row.price_high) else price_in_words(row)
