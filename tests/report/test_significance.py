"""The tests of notebook 09 and the declared comparisons: what is said of them, and what is not."""

import pandas as pd
import pytest

from lib.report.agreement import compare_tests, describe_agreement
from lib.report.comparisons import p_cell, p_value
from lib.report.declared import declared_table, describe_declared, describe_equivalence, describe_primaries, plot_declared
from lib.report.multiplicity import describe_multiplicity, multiplicity_table
from lib.report.significance import delong_shown, describe_delong, describe_mcnemar, describe_wilcoxon, mcnemar_shown, wilcoxon_shown
from lib.study import Primary

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
NAN = float("nan")
FEW = "not estimable: 12 positives, needs 20"


@pytest.mark.parametrize(("p", "text"), [(0.0312, "p = 0.031"), (0.00099, "p < 0.001"), (0.001, "p = 0.001"), (0.04996, "p = 0.04996"),
                                         (0.0503, "p = 0.0503"), (0.05, "p = 0.050"), (0.0251, "p = 0.0251"), (1.0, "p = 1.000"),
                                         (0.0, "p < 0.001"), (NAN, "–"), (None, "–")])
def test_p_values_are_never_on_the_wrong_side_of_a_level(p, text):
    assert p_value(p) == text and p_cell(p) == text.removeprefix("p ").removeprefix("= ")


# ── declared ─────────────────────────────────────────────────────────────────────────────────────────────────────

PRIMARIES = [Primary(metric="auroc", group="V–VI", arm="more", margin=0.02), Primary(metric="brier", arm=NASTY, margin=0.05)]


@pytest.fixture
def declared() -> pd.DataFrame:
    names = ["metric", "group", "arm", "margin", "value", "low", "high", "p_value", "p_adjusted", "p_equivalence", "p_equivalence_adjusted",
             "kind", "note"]
    rows = [("auroc", "V–VI", "more", 0.02, 0.04, 0.01, 0.07, 0.01, 0.02, 0.9, 0.9, "better", ""),
            ("brier", "all", NASTY, 0.05, 0.0, -0.01, 0.01, 0.6, 0.6, 0.001, 0.002, "equivalent", ""),
            ("auroc", "I–II", "more", 0.02, NAN, NAN, NAN, NAN, NAN, NAN, NAN, "cannot tell", FEW)]
    return pd.DataFrame(rows, columns=names).assign(baseline="real", architecture="small_cnn", arm_value=0.84, baseline_value=0.8,
                                                    n_images=300, n_clusters=150, n_positives=40, seeds=3)


def test_declarations_in_words():
    sentences = describe_primaries(PRIMARIES)
    assert sentences[0] == ("Does arm more, against arm real, change AUROC (mean over classes) for V–VI? "
                            "A difference under 0.02 was declared too small to matter.")
    assert "for everybody?" in sentences[1] and "As there are 2 such questions" in sentences[2]
    assert len(describe_primaries(PRIMARIES[:1])) == 1


def test_declared_in_words(declared):
    assert describe_declared(declared) == [
        "More against real, AUROC (mean over classes), V–VI: difference 0.040 (0.010–0.070), larger than chance explains "
        "(p = 0.010, corrected for 3 declared comparisons p = 0.020).",
        f"{NASTY} against real, Brier score, everybody: difference 0.000 (−0.010 to 0.010), no larger than chance could give "
        "(p = 0.600, corrected for 3 declared comparisons p = 0.600).",
        "More against real, AUROC (mean over classes), I–II: not estimable (12 positives, needs 20).",
    ]
    assert describe_declared(declared.iloc[:1].assign(p_adjusted=0.01))[0].endswith("larger than chance explains (p = 0.010).")
    assert "no larger than chance" in describe_declared(declared.assign(p_adjusted=0.06))[0]


def test_equivalence_in_words(declared):
    sentences = describe_equivalence(declared)
    assert sentences[0].endswith("differ by less than 0.02 either way is not shown (p = 0.900, corrected for 3 declared comparisons "
                                 "p = 0.900; it takes p < 0.025).")
    assert "differ by less than 0.05 either way is shown (p = 0.001, corrected" in sentences[1] and "not estimable" in sentences[2]
    assert sentences[3].startswith("Not shown to be the same is not the same as shown to differ")
    assert len(describe_equivalence(declared.iloc[1:2])) == 1


def test_declared_in_a_table(declared):
    table = declared_table(declared)
    assert table.iloc[0].tolist() == ["more against real", "AUROC (mean over classes)", "V–VI", "0.840 against 0.800",
                                      "0.040 (0.010–0.070)", "0.010", "0.020", "0.900", "0.900", "better"]
    assert table.iloc[2].tolist()[4:9] == ["not estimable"] + ["–"] * 4
    assert not [name for name in declared_table(declared.iloc[:1]).columns if "corrected" in name]


def test_declared_in_a_picture(declared, draw, fits, texts):
    figure = plot_declared(declared, arms=["real", "more", NASTY])
    draw(figure)
    bands = [patch for patch in figure.axes[0].patches if patch.get_gid() == "margin"]
    assert fits(figure) and [(band.get_x(), band.get_width()) for band in bands] == [(-0.02, 0.04), (-0.05, 0.1), (-0.02, 0.04)]
    assert texts(figure, "not-estimable") == [FEW]
    assert "0.040 (0.010–0.070)   n = 300, smallest class 40 better: AUROC (mean over classes)" in texts(figure, "numbers")
    draw(plot_declared(declared.iloc[:0], arms=[]))


# ── the single tests ─────────────────────────────────────────────────────────────────────────────────────────────

@pytest.fixture
def delong() -> pd.DataFrame:
    rows = [("more", "all", 0.04, 0.01, 0.07, 0.01, 0.005, 0.02, ""), ("more", "V–VI", NAN, NAN, NAN, NAN, NAN, NAN, FEW),
            (NASTY, "all", -0.01, -0.04, 0.02, 0.5, 0.4, 0.5, ""), (NASTY, "V–VI", NAN, NAN, NAN, NAN, NAN, NAN, FEW)]
    frame = pd.DataFrame(rows, columns=["arm", "group", "value", "low", "high", "p_value", "p_images", "p_adjusted", "note"])
    return frame.assign(baseline="real", architecture="small_cnn", n_positives=40, n_negatives=60, n_clusters=50)


def test_delong(delong):
    assert describe_delong(delong) == [
        "More minus real in the AUROC of the positive classes: everybody 0.040 (0.010–0.070), p = 0.010.",
        f"{NASTY} minus real in the AUROC of the positive classes: everybody −0.010 (−0.040 to 0.020), p = 0.500.",
        "V–VI: not tested (12 positives, needs 20).", "Of 2 tests, 1 has p under 0.05; corrected for their number, 1.",
    ]
    table = delong_shown(delong)
    assert table.iloc[0].tolist() == ["more", "everybody", "0.040 (0.010–0.070)", "0.010", "0.020", "0.005", 40, 60, 50]
    assert table.iloc[1]["difference from real"] == FEW
    assert describe_delong(delong.iloc[:0]) == ["There is nothing to compare: only the baseline was trained."]


@pytest.fixture
def mcnemar() -> pd.DataFrame:
    rows = [("all", 0, 10, 30, 0.01, 0.04, ""), ("all", 1, 12, 28, 0.03, 0.06, ""), ("all", 2, 30, 10, 0.02, 0.06, ""),
            ("all", 3, 15, 15, 1.0, 1.0, ""), ("V–VI", 0, None, None, NAN, NAN, FEW), ("I–II", 0, 3, 4, 0.9, 1.0, "")]
    frame = pd.DataFrame(rows, columns=["group", "seed", "only_baseline", "only_arm", "p_value", "p_adjusted", "note"])
    frame = frame.assign(arm="more", baseline="real", architecture="small_cnn", n_images=100)
    return frame.astype({"only_baseline": "Int64", "only_arm": "Int64"})


def test_mcnemar(mcnemar):
    assert describe_mcnemar(mcnemar, what="positive images") == [
        "More against real, right answers on positive images (p under 0.05): everybody more in 2 and fewer in 1 of 4 trainings; "
        "no difference shown for I–II.",
        "V–VI: not tested (12 positives, needs 20).",
        "A test for every training: of 5 tests, 3 have p under 0.05; corrected for their number, 1.",
    ]
    table = mcnemar_shown(mcnemar)
    assert table.iloc[0].tolist() == ["more", "everybody", 100, "10–30", "10–30", "0.010, 0.030, 0.020, 1.000", "1 of 4"]
    assert table.iloc[1].tolist()[3:] == ["–", "–", "–", FEW] and table.iloc[2].tolist()[3:5] == ["3", "4"]


def test_mcnemar_of_several_networks_and_by_class(mcnemar):
    two = pd.concat([mcnemar, mcnemar.assign(architecture="resnet18")]).assign(note="right or wrong by the most probable class")
    sentences = describe_mcnemar(two)
    assert sentences[0].startswith("More (small_cnn) against real") and sentences[1].startswith("More (resnet18) against real")
    assert "Right or wrong by the most probable class." in sentences
    assert describe_mcnemar(mcnemar.iloc[:0]) == ["There is nothing to compare: only the baseline was trained."]


def wilcoxon(pairs: int, p: float) -> pd.DataFrame:
    rows = [("more", "all", 0.04, p, ""), ("more", "V–VI", NAN, NAN, FEW), (NASTY, "all", -0.01, 1.0, "")]
    frame = pd.DataFrame(rows, columns=["arm", "group", "value", "p_value", "note"])
    return frame.assign(baseline="real", architecture="small_cnn", metric="auroc", pairs=pairs, smallest_possible=2.0 ** (1 - pairs),
                        p_adjusted=frame["p_value"])


def test_wilcoxon_with_too_few_trainings_says_so():
    assert describe_wilcoxon(wilcoxon(3, 0.25), metric="auroc") == [
        "More minus real, median over pairs of trainings in AUROC (mean over classes): everybody +0.040 (p = 0.250).",
        f"{NASTY} minus real, median over pairs of trainings in AUROC (mean over classes): everybody −0.010 (p = 1.000).",
        "V–VI: not tested (12 positives, needs 20).",
        "With 3 pairs of trainings this test cannot give a p under 0.25, whatever they do: it could not have found a difference here. "
        "6 pairs are the least that can.",
    ]
    assert "5 pairs are the least" in describe_wilcoxon(wilcoxon(3, 0.25), metric="auroc", confidence=0.9)[-1]


def test_wilcoxon_with_enough_trainings():
    assert describe_wilcoxon(wilcoxon(8, 0.0078), metric="auroc")[-1] == (
        "Of 2 tests, 1 has p under 0.05; corrected for their number, 1.")
    table = wilcoxon_shown(wilcoxon(8, 0.0078), metric="auroc")
    assert table.iloc[0].tolist() == ["more", "everybody", 8, "0.040", "0.008", "0.008", "0.008"]
    assert describe_wilcoxon(wilcoxon(8, 0.1).iloc[:0], metric="auroc") == ["There is nothing to compare: only the baseline was trained."]


# ── together ─────────────────────────────────────────────────────────────────────────────────────────────────────

def differences(p: float, value: float = 0.04) -> pd.DataFrame:
    return pd.DataFrame([{"arm": "more", "baseline": "real", "architecture": "small_cnn", "metric": "auroc", "group": group,
                          "value": value, "low": value - 0.03, "high": value + 0.03, "p_value": p, "p_adjusted": 2 * p, "note": ""}
                         for group in ("all", "V–VI")])


COUNTED = "McNemar is counted over trainings, all judged on the same patients: the count of them is no test by itself."


def test_tests_that_agree(delong, mcnemar):
    found = {"delong": delong, "mcnemar": mcnemar.iloc[:2], "positives": mcnemar.iloc[:2], "wilcoxon": wilcoxon(8, 0.01)}
    table = compare_tests([Primary(arm="more", group=None)], differences=differences(0.01), **found)
    assert table["finds"].tolist() == ["better"] * 5 and table["p"].iloc[2] == "under 0.05: better in 2 of 2 trainings"
    assert describe_agreement(table) == [
        "More against real, everybody: interval, DeLong, McNemar, McNemar on positives and Wilcoxon agree: better.", COUNTED]


def test_tests_that_differ_are_told_apart_by_their_questions(delong, mcnemar):
    found = {"delong": delong, "mcnemar": mcnemar, "positives": mcnemar.iloc[3:4], "wilcoxon": wilcoxon(3, 0.25)}
    table = compare_tests([Primary(arm="more")], differences=differences(0.2), **found)
    assert table["finds"].tolist() == ["no difference shown", "better", "not the same in every training", "no difference shown",
                                       "too few trainings to tell"]
    assert table["p"].iloc[4] == "0.250 (at best 0.250)"
    sentences = describe_agreement(table)
    assert sentences[0] == (
        "More against real, everybody: the tests differ: no difference shown by interval and McNemar on positives; better by DeLong; "
        "not the same in every training by McNemar. Without an answer: Wilcoxon (too few trainings to tell).")
    assert all(word in sentences[1] for word in ("ranking", "threshold", "training again", "different questions"))
    assert sentences[-1] == COUNTED


def test_tests_without_an_answer(delong, mcnemar):
    found = {"delong": delong, "mcnemar": mcnemar, "positives": mcnemar.iloc[:0], "wilcoxon": wilcoxon(8, 0.1)}
    table = compare_tests([Primary(arm="more", group="V–VI")], differences=differences(NAN), **found)
    assert table["finds"].tolist() == ["not estimable"] * 5
    assert describe_agreement(table)[0].startswith("More against real, V–VI: no test has an answer. Without an answer: interval (not est")
    assert COUNTED not in describe_agreement(table)
    assert describe_agreement(compare_tests([], differences=differences(0.1), **found)) == ["Nothing was declared against this baseline."]
    worse = compare_tests([Primary(metric="brier", arm="more")], differences=differences(0.01).assign(metric="brier"), **found)
    assert worse["finds"].iloc[0] == "worse"


def test_multiplicity():
    rows = pd.concat([differences(0.01), differences(0.04, -0.1).assign(metric="brier"), differences(NAN).assign(metric="f1")])
    assert describe_multiplicity(rows) == [
        "4 comparisons of an arm with its baseline, over all measures, groups and networks: 4 with p under 0.05, where chance alone would "
        "give about 0.2.",
        "2 remain when corrected for their number; of findings so corrected, about 1 in 20 at most is expected to be false.",
        "Remaining for more: everybody better in AUROC (mean over classes); V–VI better in AUROC (mean over classes).",
    ]
    assert describe_multiplicity(differences(0.04))[1] == "None remains when corrected for their number."
    assert describe_multiplicity(differences(NAN)) == ["There is no comparison to correct."]
    assert multiplicity_table({"differences": rows}).iloc[0].tolist() == ["differences", 4, 4, "0.2", 2]
    both = pd.concat([differences(0.001), differences(0.001).assign(metric="brier"), differences(0.001, -0.1).assign(metric="f1")])
    assert describe_multiplicity(both)[-1] == (
        "Remaining for more: everybody better in AUROC (mean over classes); everybody worse in Brier score and F1 (positive classes); "
        "V–VI better in AUROC (mean over classes); V–VI worse in Brier score and F1 (positive classes).")


def test_what_chance_alone_can_give_where_p_cannot_be_small():
    few, enough = wilcoxon(3, 0.25), wilcoxon(8, 0.01)
    table = multiplicity_table({"few": few, "enough": enough, "mixed": pd.concat([few, enough])})
    assert table["by chance alone, at most"].tolist() == ["0.0", "0.1", "0.1"]


def test_no_sentence_says_significant(declared, delong, mcnemar):
    said = [describe_declared(declared), describe_equivalence(declared), describe_delong(delong), describe_mcnemar(mcnemar),
            describe_wilcoxon(wilcoxon(3, 0.25), metric="auroc"), describe_multiplicity(differences(0.01))]
    assert not [sentence for sentences in said for sentence in sentences if "significan" in sentence]
