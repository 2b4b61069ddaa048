"""What the test set could have shown, as a clinician is told it."""

import pandas as pd
import pytest

from lib.report.power import describe_power, power_table

NAN = float("nan")


def power(detectable=0.06, clusters=1284.0, images=2650.0, more_seeds=NAN, seeds=3, margin=0.02, group="V–VI", note="") -> pd.DataFrame:
    return pd.DataFrame([{
        "metric": "auroc", "group": group, "arm": "more", "baseline": "real", "margin": margin, "detectable": detectable, "n_clusters": 150,
        "clusters_needed": clusters, "n_images": 310, "images_needed": images, "seeds": seeds, "seeds_needed": more_seeds, "note": note}])


FOUND = ("With these 150 patients or lesions and 3 trainings per arm, a true difference of 0.060 or more between more and real in AUROC "
         "(mean over classes) for V–VI would have been found four times in five.")


@pytest.mark.parametrize(("given", "rest"), [
    ({}, " To find one as small as the 0.02 declared to matter it would take about 1,300 patients or lesions (2,700 images)."),
    ({"more_seeds": 11.0}, " To find one as small as the 0.02 declared to matter it would take about 1,300 patients or lesions (2,700 "
                           "images), or, with the same patients, about 11 trainings per arm."),
    ({"clusters": NAN, "images": NAN, "more_seeds": 11.0}, " To find one as small as the 0.02 declared to matter it would take, with the "
                                                           "same patients, about 11 trainings per arm."),
    ({"clusters": NAN, "images": NAN}, " To find one as small as the 0.02 declared to matter it takes both more patients and more "
                                       "trainings: neither alone would be enough."),
    ({"margin": 0.06}, " That covers the 0.06 declared to matter: for this question alone the study was large enough."),
])
def test_power_in_words(given, rest):
    assert describe_power(power(**given)) == [FOUND + rest]


def test_a_rough_guess_is_called_one():
    rough = "a rough guess, as 3 seeds say little about how much training again changes"
    for given in ({}, {"margin": 0.06}, {"detectable": float("inf")}):
        assert describe_power(power(note=f"{rough}; for this comparison alone", **given))[0].endswith(f" All this is {rough}.")
    assert "rough" not in describe_power(power())[0]


def test_one_training_says_nothing_of_training_again():
    for margin in (0.02, 0.1):
        sentence = describe_power(power(seeds=1, margin=margin))[0]
        assert "1 training per arm" in sentence and sentence.endswith("nothing is known about training again.")


def test_not_estimable_and_endless():
    few = power(NAN, NAN, NAN, group="all", note="not estimable: 12 positives, needs 20")
    assert describe_power(few) == ["AUROC (mean over classes) for everybody: what could have been found is not estimable "
                                   "(12 positives, needs 20)."]
    assert "no difference between more and real" in describe_power(power(float("inf"), NAN, NAN))[0]


def test_several_declared_comparisons_and_other_shares():
    both = describe_power(pd.concat([power(), power(group="all")]), share=0.9)
    assert len(both) == 3 and "found nine times in ten." in both[0] and "corrected for their number" in both[2]
    assert "found in 85% of repetitions" in describe_power(power(), share=0.85)[0]


def test_power_in_a_table():
    table = power_table(pd.concat([power(), power(clusters=NAN, images=NAN, more_seeds=60.0)]))
    assert table.iloc[0].tolist() == ["more against real", "AUROC (mean over classes)", "V–VI", "0.02", "0.060", "150 → 1,300",
                                      "310 → 2,700", "3 → –"]
    assert table.iloc[1].tolist()[5:] == ["150 → –", "310 → –", "3 → 60"]
