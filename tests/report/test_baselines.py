"""Notebook 08: each arm is held against what differs from it in one thing."""

from lib.classify.arms import ARMS, SWITCHES
from lib.report.baselines import RANDOM, arms_table, columns_of, describe_arms, doses_of, images_drawn, mixing_pairs, unpaired, worth_asking

OLD = ["real", "classical", "oversampled"]


def test_old_studies_have_their_baselines_and_nothing_else():
    assert columns_of(OLD, "real") == {"real": {"classical": "real", "oversampled": "real"},
                                       "classical": {"real": "classical", "oversampled": "classical"}}
    assert mixing_pairs(OLD) == unpaired(OLD) == [] and doses_of(OLD) == {}
    assert describe_arms(OLD) == ["No arm of this study adds generated images: it compares ways to use the real ones."]
    assert arms_table(OLD, images_drawn([{}]))["mixing"].tolist() == ["–"] * 3


def test_the_declared_baseline_comes_first_and_once():
    assert list(columns_of(["classical", "real", "oversampled"], "oversampled")) == ["oversampled", "real", "classical"]
    assert list(columns_of(["classical", "real"], "classical")) == ["classical", "real"]
    assert list(columns_of(["gan_curated"], "gan_curated")) == ["gan_curated"]


def test_random_subset_is_of_the_same_generator_and_mixed_the_same_way():
    arms = ["real", "diffusion_curated", "diffusion_uncurated", "diffusion_random", "diffusion_curated+mixup", "gan_curated", "gan_random",
            "gan_curated+ratio=2", "gan_random+ratio=2", "diffusion_and_gan", "synthetic_only", "collected"]
    assert columns_of(arms, "real")[RANDOM] == {"diffusion_curated": "diffusion_random", "diffusion_uncurated": "diffusion_random",
                                                "gan_curated": "gan_random", "gan_curated+ratio=2": "gan_random+ratio=2"}
    assert RANDOM not in columns_of([arm for arm in arms if "random" not in arm], "real")


def test_a_way_of_mixing_is_held_against_the_arm_without_it():
    arms = ["real", "diffusion_curated", "diffusion_curated+mixup", "diffusion_curated+ramp", "diffusion_curated+ramp+mixup"]
    assert mixing_pairs(arms) == [
        ("diffusion_curated+mixup", "diffusion_curated"), ("diffusion_curated+ramp", "diffusion_curated"),
        ("diffusion_curated+ramp+mixup", "diffusion_curated+mixup"), ("diffusion_curated+ramp+mixup", "diffusion_curated+ramp")]
    assert mixing_pairs([arms[1], arms[4]]) == [("diffusion_curated+ramp+mixup", "diffusion_curated")]      # the whole way of mixing
    assert unpaired(["real", "gan_curated+mixup", "gan_random"]) == ["gan_curated+mixup"] and not unpaired(arms)


def test_doses_are_series_of_ratios_that_start_at_no_generated_image():
    arms = ["real", "diffusion_curated+ratio=10", "diffusion_curated+ratio=0.5", "diffusion_curated", "gan_curated+ratio=1",
            "diffusion_curated+ratio=1+mixup", "diffusion_curated+ratio=2+mixup"]
    assert doses_of(arms) == {
        "diffusion_curated": {0: "real", 0.5: "diffusion_curated+ratio=0.5", 10: "diffusion_curated+ratio=10"},
        "diffusion_curated+mixup": {0: "real", 1: "diffusion_curated+ratio=1+mixup", 2: "diffusion_curated+ratio=2+mixup"}}
    assert [list(dose) for dose in doses_of(arms).values()] == [[0, 0.5, 10], [0, 1, 2]]
    assert min(doses_of(arms[1:])["diffusion_curated"]) == 0.5                                              # without real there is no none


def test_every_arm_and_switch_is_put_in_words():
    bases = {"accepted": "diffusion_uncurated", "selected": "diffusion_curated", "": "diffusion_curated"}
    switched = [f"{bases[switch.streams or '']}+{name}{'=1' if switch.needed else ''}" for name, switch in SWITCHES.items()]
    shown = arms_table([*ARMS, *switched], images_drawn([])).set_index("arm")
    assert shown["images"].notna().all() and (shown.loc[list(ARMS), "mixing"] == "–").all()
    assert all(SWITCHES[name].meaning in shown.loc[arm, "mixing"] for name, arm in zip(SWITCHES, switched, strict=True))
    assert shown.loc["diffusion_curated+ratio=1", "mixing"].endswith("(1)")


def test_comparisons_that_a_study_cannot_make_are_named():
    said = describe_arms(["real", "diffusion_curated", "diffusion_curated+mixup", "collected"])
    assert said[0].startswith("2 arms of 4 add generated images")
    assert said[1:] == ["For diffusion_curated no random subset of the same number was trained, so what curation itself does is not seen."]
    assert describe_arms(["gan_random"])[1] == ("Neither real nor classical was trained, so what generated images add to real ones cannot "
                                                "be seen.")
    assert len(describe_arms(["real", "diffusion_curated", "diffusion_random"])) == 1


def chunk(arm, added, share, **cell):
    drawn = [{"label": "a", "group": "x", "real": 60, "added": added, "drawn": 100.0, "of_added": 2 * share},
             {"label": "b", "group": "x", "real": 40, "added": 0, "drawn": 100.0, "of_added": None}]
    return {"cells": [{"arm": arm, "seed": 0, **cell}], "drawn": drawn}


def test_images_and_draws_are_those_of_the_whole_training_set():
    chunks = [chunk("real", 0, 0.0), chunk("real", 0, 0.0, fraction=0.5), chunk("diffusion_curated", 30, 0.4),
              chunk("diffusion_curated", 30, 0.4)]
    assert images_drawn(chunks).to_dict("records") == [{"arm": "real", "real": 100, "added": 0, "share": 0.0},
                                                       {"arm": "diffusion_curated", "real": 100, "added": 30, "share": 0.4}]
    shown = arms_table(["real", "diffusion_curated", "gan_curated"], images_drawn(chunks)).set_index("arm")
    assert shown["of all draws"].tolist()[:2] == ["–", "40%"] and shown["added images"].isna().tolist() == [False, False, True]


def test_images_drawn_while_training_are_no_zero():
    arms = ["diffusion_uncurated+on_the_fly", "diffusion_curated+hybrid", "real"]
    chunks = [chunk(arms[0], 0, 0.0), chunk(arms[1], 1_200, 0.4), chunk("real", 0, 0.0)]
    shown = arms_table(arms, images_drawn(chunks))
    assert shown["added images"].tolist() == ["drawn while training", "1,200 and more, drawn while training", 0]
    assert shown["of all draws"].tolist() == ["–"] * 3                          # how much of a stream is drawn is not planned beforehand


def test_worth_is_asked_of_plain_arms_and_of_the_declared():
    arms = ["real", "oversampled", "diffusion_curated", "diffusion_curated+mixup", "diffusion_curated+ramp", "collected"]
    assert worth_asking(arms, ["diffusion_curated+ramp", "real"]) == [arms[1], arms[2], arms[4], arms[5]]
