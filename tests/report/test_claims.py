"""Claimed figures beside measured ones: the shipped list is whole, every measure reads a planted study, nothing is invented."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from lib.report.claim_measures import MEASURES, Evidence
from lib.report.claims import NOT_MEASURED, claims_table, describe_claims, read_claims


def rows(values: dict[str, dict[str, float]], **more) -> pd.DataFrame:
    """metric → arm → value, for everybody."""
    return pd.DataFrame([{"arm": arm, "architecture": "small_cnn", "metric": metric, "group": "all", "value": value, "low": value - 0.01,
                          "high": value + 0.01, **more} for metric, arms in values.items() for arm, value in arms.items()])


SAMPLES = pd.DataFrame({
    "dataset": ["skin"] * 4 + ["other"] * 2, "label": ["nevus"] * 3 + ["dermatofibroma"] + ["nevus"] * 2,
    "ita": [20.0, 40, np.nan, 50, 10, 10], "cluster_id": ["a", "a", "b", "c", "d", "e"],
})
EVIDENCE = Evidence(
    baseline="real", generated=frozenset({"gan_curated"}), samples=SAMPLES, datasets={"skin": "ham10000", "other": "phantom"},
    by_arm=rows({"cohen_kappa": {"real": 0.5, "gan_curated": 0.45}, "precision": {"real": 0.6}, "sensitivity": {"real": 0.5},
                 "f1": {"real": 0.545}}),
    changes=rows({"cohen_kappa": {"gan_curated": -0.05, "classical": 0.1}}, baseline="real"),
    wilcoxon=pd.DataFrame({"smallest_possible": [0.25], "pairs": [3]}),
    curated=pd.DataFrame({"generator": ["gan"] * 4, "selected": [True, True, False, True], "score_perceptual": [0.1, 0.2, 0.3, np.nan],
                          "score_confidence": [0.5, 0.7, 0.9, np.nan], "human_realism": [4.0, np.nan, 5.0, np.nan]}),
    metrics={"06_curation/gan": {"generator": "gan", "set_scores": [
        {"statistic": name, "label": None, "group": None, "value": value, "floor": floor, "encoder": encoder}
        for name, value, floor, encoder in (("diversity", 0.4, 0.5, "e"), ("tone_error", 6.04, None, "checks"), ("recall", 1.0, 1.0, "e"))
    ] + [{"statistic": "diversity", "label": "nevus", "group": None, "value": 9.0, "floor": 9.0, "encoder": "e"},
         {"statistic": "diversity", "label": None, "group": None, "value": 9.0, "floor": 9.0, "encoder": "second"}]}},
)
MEASURED = {
    "kappa_change":        "gan_curated −10% (−0.050 (−0.060 to −0.040)), against 0.500 with real",
    "precision_recall_f1": "real 0.600, 0.500, 0.545",
    "share_selected":      "gan 3 of 4 (75%)",
    "nearest_distance":    "gan median 0.200",
    "confidence":          "gan mean 0.700",
    "diversity":           "gan 0.400 (real images 0.500; e)",
    "tone_error":          "gan 6.0° (checks)",
    "ratings":             "realism 4.50 over 2 images",
    "imbalance":           "1 dermatofibroma against 3 nevus (3 to 1)",
    "dark_skin":           "1 of 3 images whose skin could be measured",
    "images_per_patient":  "4 images in 3 units (skin) and 2 images in 2 units (other)",
    "smallest_p":          "p as small as 0.2500 with 3 pairs",
}
NOTHING = Evidence(baseline="real", by_arm=rows({"auroc": {"real": 0.8}}), changes=rows({"auroc": {"classical": 0.1}}),
                   samples=SAMPLES.iloc[:0], wilcoxon=pd.DataFrame({"smallest_possible": [np.nan], "pairs": [3]}), datasets={})


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_measured_and_what_is_not(name):
    assert MEASURES[name](EVIDENCE) == MEASURED[name]
    assert MEASURES[name](NOTHING) == ""


def test_the_shipped_claims_are_whole():
    claims = read_claims()
    assert len({claim.claim for claim in claims}) == len(claims) >= 10
    assert {claim.measured for claim in claims} - {None} == set(MEASURES)                   # none is written in vain
    for claim in claims:
        assert claim.source and len(claim.why) > 20 and "\n" not in claim.why.strip()


def test_the_arithmetic_of_a_claim_that_contradicts_itself():
    claim = next(one for one in read_claims() if one.measured == "precision_recall_f1")
    precision, recall, f1 = 0.783, 0.595, 0.76
    assert all(f"{x:g}" in claim.figure for x in (precision, recall, f1))
    follows = 2 * precision * recall / (precision + recall)
    assert f"{follows:.3f}" in claim.why and abs(follows - f1) > 0.05


def test_the_table_and_its_sentence():
    table = claims_table(read_claims(), EVIDENCE)
    assert list(table.columns) == ["claim", "claimed", "measured here", "why they differ"]
    missing = table["measured here"] == NOT_MEASURED
    assert missing.sum() == sum(claim.measured is None for claim in read_claims())
    opening = f"Of {len(table)} figures in circulation, this study has one of its own for {(~missing).sum()}."
    assert describe_claims(table)[0].startswith(opening)
    nothing = claims_table(read_claims(), NOTHING)
    assert (nothing["measured here"] == NOT_MEASURED).all() and "for none." in describe_claims(nothing)[0]


def test_a_claim_that_names_no_measure_or_lacks_a_part(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("[{claim: a, figure: b, source: c, why: d, measured: magic}]")
    with pytest.raises(ValueError, match="'a' is measured by 'magic'; known are kappa_change"):
        read_claims(path)
    path.write_text("[{claim: a, figure: b, source: c}]")
    with pytest.raises(ValidationError, match="why"):
        read_claims(path)
