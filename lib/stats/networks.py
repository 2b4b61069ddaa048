"""Does what an arm changes depend on the network: its difference with each network, held against the mean over networks.

With K networks there are K such contrasts, of which one may stand out by chance; their intervals are widened for that (Bonferroni), so the
chance that any of an arm's leaves zero out, where the arm changes the same with all networks, is at most 1 − confidence. With two networks
both contrasts are one and the same, up to the sign, and nothing is widened.
"""

from __future__ import annotations

import pandas as pd

from lib.stats.compare import check_arm
from lib.stats.contrasts import weighted_sum
from lib.stats.evaluation import ALL, Evaluation


def network_effects(
    evaluation: Evaluation,
    baseline:   str,
    metric:     str,
    group:      str = ALL,
) -> pd.DataFrame:
    """For each arm but the baseline and each network: arm, architecture, metric, group, value, low, high, note.

    The value is (arm − baseline with that network) − (the same, mean over networks). Empty with one network.
    """
    check_arm(evaluation, baseline)
    networks, rows = evaluation.predictions.architectures, []
    tests = len(networks) if len(networks) > 2 else 1
    level = 1 - (1 - evaluation.confidence) / tests
    for arm in evaluation.predictions.arms if len(networks) > 1 else []:
        for network in networks if arm != baseline else []:
            weights = {}
            for other in networks:
                share = (other == network) - 1 / len(networks)
                weights |= {(arm, other): share, (baseline, other): -share}
            found = weighted_sum(evaluation, metric, group, weights)
            low, high = found.interval(level)
            rows.append({"arm": arm, "architecture": network, "metric": metric, "group": group, "value": found.value, "low": low,
                         "high": high, "note": f"not estimable: {found.reason}" if found.reason else ""})
    return pd.DataFrame(rows, columns=["arm", "architecture", "metric", "group", "value", "low", "high", "note"])
