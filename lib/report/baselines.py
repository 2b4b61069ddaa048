"""What each arm is to be held against: the study's baselines, its own base arm, its random subset, its other doses (notebook 08)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lib.classify.arms import SWITCHES, Arm, find_arm
from lib.report.words import NOTHING, count, join, number, percent

PLAIN  = ("real", "classical")          # arms that every other one is held against, where a study has them
RANDOM = "its random subset"            # title of the column


def arms_table(
    arms:  Sequence[str],
    drawn: pd.DataFrame,                # of images_drawn; empty: not shown
) -> pd.DataFrame:
    """What each arm trains on and how it is mixed, in words.

    Columns: arm, images, mixing ("–" without a switch); where it is known real images, added images, and their share of all draws. Of an
    arm that draws while it trains, the count is of images made beforehand, so the cell says that more came, and the share is "–".
    """
    words = pd.DataFrame([{"arm": name, "images": (arm := find_arm(name)).meaning, "mixing": _mixing(arm) or NOTHING} for name in arms])
    if drawn.empty:
        return words
    streams = [find_arm(name).streams for name in drawn["arm"]]
    shown = drawn.assign(
        share=[NOTHING if live or not row.added else percent(row.share) for live, row in zip(streams, drawn.itertuples(), strict=True)],
        added=[with_stream(row.added) if live else row.added for live, row in zip(streams, drawn.itertuples(), strict=True)],
    )
    titles = {"real": "real images", "added": "added images", "share": "of all draws"}
    return words.merge(shown, on="arm", how="left").rename(columns=titles)


def images_drawn(
    metrics: Iterable[Mapping[str, Any]],       # metrics.json of every chunk of 07
) -> pd.DataFrame:
    """What each arm has to draw from and how much of what it draws was added: arm, real, added (images), share (0–1, of added draws).

    Trainings on a part of the patients are left out; chunks of an arm agree, and with cross-validation the first fold stands for all.
    Empty where the chunks do not say.
    """
    rows = {}
    for one in metrics:
        cell, cells = one.get("cells", [{}])[0], one.get("drawn", [])
        if cells and cell.get("fraction", 1) == 1 and cell["arm"] not in rows:
            added = sum((row["of_added"] or 0) * row["drawn"] for row in cells)
            rows[cell["arm"]] = {"arm": cell["arm"], "real": int(sum(row["real"] for row in cells)),
                                 "added": int(sum(row["added"] for row in cells)), "share": added / sum(row["drawn"] for row in cells)}
    return pd.DataFrame(list(rows.values()), columns=["arm", "real", "added", "share"])


def with_stream(added: int) -> str:
    """The images that an arm adds where it also draws while it trains: a count of those made beforehand alone would mislead."""
    return f"{number(int(added))} and more, drawn while training" if added else "drawn while training"


def generated_arms(arms: Sequence[str]) -> list[str]:
    """Those that train on generated images."""
    return [name for name in arms if (arm := find_arm(name)).adds and not arm.collected]


def describe_arms(arms: Sequence[str]) -> list[str]:
    """How many arms add images, how many mix them in a way of their own, and which comparisons the study cannot make."""
    found = {name: find_arm(name) for name in arms}
    adding = generated_arms(arms)
    if not adding:
        return ["No arm of this study adds generated images: it compares ways to use the real ones."]
    sentences = [f"{count(len(adding), 'arm')} of {number(len(arms))} {'adds' if len(adding) == 1 else 'add'} generated images; all have "
                 "the same budget of steps on batches of the same sizes."]
    if not any(name in arms for name in PLAIN):
        sentences.append(f"Neither {join(PLAIN, last='nor')} was trained, so what generated images add to real ones cannot be seen.")
    alone = [name for name in adding if len(found[name].generators) == 1 and found[name].which == "selected"
             and not found[name].switches and _random_of(found[name], arms) is None]
    if alone:
        sentences.append(f"For {join(alone, 6)} no random subset of the same number was trained, so what curation itself does is not seen.")
    return sentences


def columns_of(
    arms:     Sequence[str],
    baseline: str,                      # that the study declares
) -> dict[str, dict[str, str]]:
    """Title of each column of differences → arm → the arm it is held against there; an arm without one is missing.

    First the study's own baseline, then `real` and `classical` where they were trained, then each arm's random subset: as many images of
    the same generator, taken by chance and mixed in the same way.
    """
    plain = dict.fromkeys([baseline, *(name for name in PLAIN if name in arms)])
    columns = {name: {arm: name for arm in arms if arm != name} for name in plain}
    random = {arm: other for arm in arms if (other := _random_of(find_arm(arm), arms)) is not None}
    return columns | ({RANDOM: random} if random else {})


def mixing_pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """(arm with switches, the arm without one of them) for all that were trained, and where none of these was, the base arm without any.

    So each pair is one thing changed, or the whole way of mixing.
    """
    pairs = []
    for name in arms:
        arm = find_arm(name)
        fewer = [_written(arm, [other for other in arm.switches if other != switch]) for switch in arm.switches]
        trained = [other for other in fewer if other in arms] or [base for base in [arm.base] if arm.switches and base in arms]
        pairs += [(name, other) for other in trained]
    return pairs


def unpaired(arms: Sequence[str]) -> list[str]:
    """Arms with switches whose effect cannot be seen, because no arm without them was trained."""
    paired = {name for name, _ in mixing_pairs(arms)}
    return [name for name in arms if find_arm(name).switches and name not in paired]


def doses_of(arms: Sequence[str]) -> dict[str, dict[float, str]]:
    """Series (an arm's name without its ratio) → ratio → arm, lowest first, of series with two ratios or more.

    The dose of none is the arm `real`, which is what any of these trains on without generated images.
    """
    series: dict[str, dict[float, str]] = {}
    for name in arms:
        arm = find_arm(name)
        if arm.has("ratio") and not arm.collected:
            rest = [switch for switch in arm.switches if switch[0] != "ratio"]
            series.setdefault(_written(arm, rest), {})[arm.value("ratio", 0.0)] = name
    none = {0.0: "real"} if "real" in arms else {}
    return {name: dict(sorted((none | found).items())) for name, found in series.items() if len(found) > 1}


def worth_asking(
    arms:     Sequence[str],
    declared: Sequence[str],            # arms of the study's primary comparisons
) -> list[str]:
    """Arms whose worth in collected images is asked for: those without switches, and those that the study is decided on; never `real`."""
    return [arm for arm in arms if arm != "real" and (arm in declared or not find_arm(arm).switches)]


def _mixing(arm: Arm) -> str:
    return "; ".join(f"{SWITCHES[switch].meaning}{'' if value is None else f' ({value:g})'}" for switch, value in arm.switches)


def _random_of(arm: Arm, arms: Sequence[str]) -> str | None:
    """The trained arm that takes as many images of the same generator by chance and mixes them in the same way; None without one."""
    if len(arm.generators) != 1 or arm.which == "random_subset":
        return None
    other = _written(find_arm(f"{arm.generators[0]}_random"), arm.switches)
    return other if other in arms else None


def _written(arm: Arm, switches: Sequence[tuple[str, float | None]]) -> str:
    return "+".join([arm.base, *(switch if value is None else f"{switch}={value:g}" for switch, value in switches)])
