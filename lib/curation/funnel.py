"""How many images fall at each check, and whether some group falls more often: curation must not undo the balance that was drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binomtest, fisher_exact

from lib.stats.multiplicity import holm
from lib.study import Check

PASSED    = "passed"
GENERATED = "generated"                 # first step
PEOPLE    = "people"                    # step after the checks: refused by raters, where there were some
SELECTED  = "selected"                  # last step
POOLED    = "all classes"               # in place of a label
EVERYONE  = "all"                       # in place of a group
UNKNOWN   = "unknown"                   # group of images whose group is null


def funnel(
    table:  pd.DataFrame,               # of the curated table
    checks: list[Check],                # in order
) -> pd.DataFrame:
    """A row per step: step ("generated", each check, "people" where they refused some, "selected"), left, rejected, unmeasured, not_judged.

    Of the images that entered a check, unmeasured have no score (they are among the rejected unless the check keeps them), and not judged
    are those that it does not apply to, or that it has no limit for.
    """
    inside = np.ones(len(table), dtype=bool)
    rows = [{"step": GENERATED, "left": len(table), "rejected": 0, "unmeasured": 0, "not_judged": 0}]
    for check in checks:
        judged, score = table[f"pass_{check.title}"].notna().to_numpy(), table[f"score_{check.title}"].notna().to_numpy()
        failed = inside & table["verdict"].eq(check.title).to_numpy()
        rows.append({"step": check.title, "left": int((inside & ~failed).sum()), "rejected": int(failed.sum()),
                     "unmeasured": int((inside & judged & ~score).sum()), "not_judged": int((inside & ~judged).sum())})
        inside &= ~failed
    if refused := int(table["verdict"].eq(PEOPLE).sum()):
        rows.append({"step": PEOPLE, "left": int(inside.sum()) - refused, "rejected": refused, "unmeasured": 0,
                     "not_judged": int(table.loc[inside, "human_mean"].isna().sum())})
    kept = int(table["selected"].sum())
    return pd.DataFrame([*rows, {"step": SELECTED, "left": kept, "rejected": 0, "unmeasured": 0, "not_judged": 0}])


def rejection_rates(
    table: pd.DataFrame,                # label, group, verdict
    *,
    check:  str | None = None,          # rejected by this check alone; None: by any
    pooled: bool       = False,         # over all labels instead of each
    level:  float      = 0.05,          # of the family of comparisons
) -> pd.DataFrame:
    """A row per label × group (group null: not known): images, rejected, share, low, high, p, p_holm, warning.

    Intervals are Wilson's (1927) at 95 %. p is Fisher's exact test, one-sided, that the group is rejected more than the other groups of
    the same label; `warning` where it is under `level` after Holm's correction over all rows that have one. NaN where there is no other.
    """
    rejected = table["verdict"].eq(check) if check else table["verdict"].ne(PASSED)
    groups = table["group"].astype(object).where(table["group"].notna(), None)
    frame = pd.DataFrame({"label": POOLED if pooled else table["label"], "group": groups, "rejected": rejected}, index=table.index)
    rows = [_rate(label, group, own["rejected"], part.drop(own.index)["rejected"])
            for label, part in frame.groupby("label", sort=False) for group, own in part.groupby("group", sort=False, dropna=False)]
    out = pd.DataFrame(rows, columns=["label", "group", "images", "rejected", "share", "low", "high", "p"])
    out["group"] = out["group"].astype(object).where(out["group"].notna(), None)
    adjusted = holm(out["p"].to_numpy(dtype=float))
    return out.assign(p_holm=adjusted, warning=adjusted < level)


def false_alarm_rates(
    rejected: pd.DataFrame,             # [N, checks] boolean: whether real images would be rejected; null: not judged
    groups:   np.ndarray,               # [N] null: not known
    *,
    level:    float = 0.05,             # of the family of comparisons
) -> pd.DataFrame:
    """check, group, n, rejected, rate, low, high, p, p_holm, warning: a row per check over all images (group "all"), then check × group.

    Intervals and tests are those of `rejection_rates`. A check that judged no image has no rate; what cannot be told is null.
    """
    groups, rows = np.array([UNKNOWN if pd.isna(group) else str(group) for group in groups], dtype=object), []
    for group in (EVERYONE, *sorted(set(groups))):
        for check in rejected:
            judged = rejected[check].notna().to_numpy()
            fallen, own = rejected[check][judged].astype(bool), judged if group == EVERYONE else judged & (groups == group)
            inside = own[judged]
            row = {"check": check, "group": group, "n": int(own.sum()), "rejected": int(fallen[inside].sum())}
            found = _rate("", group, fallen[inside], fallen[~inside]) if len(fallen[inside]) else {}
            rows.append(row | {"rate": found.get("share")} | {name: found.get(name) for name in ("low", "high", "p")})
    out = pd.DataFrame(rows, columns=["check", "group", "n", "rejected", "rate", "low", "high", "p"])
    adjusted = holm(out["p"].to_numpy(dtype=float))
    out = out.assign(p_holm=adjusted, warning=adjusted < level).astype(object)
    return out.where(out.notna(), None)


def _rate(label: str, group: object, own: pd.Series, others: pd.Series) -> dict:
    images, fallen = len(own), int(own.sum())
    interval, p = binomtest(fallen, images).proportion_ci(0.95, "wilson"), np.nan
    if len(others):
        counts = [[fallen, images - fallen], [int(others.sum()), int((~others).sum())]]
        p = float(fisher_exact(counts, alternative="greater").pvalue)
    return {"label": label, "group": None if pd.isna(group) else group, "images": images, "rejected": fallen, "share": fallen / images,
            "low": float(interval.low), "high": float(interval.high), "p": p}
