"""Names of arms: one grammar, one name for each arm, and errors that say what would work."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.classify.arms import ARMS, SWITCHES, check_arm, check_mixing, find_arm, generators_of
from lib.classify.sampling import RULES
from lib.study import StudyError, load_study
from lib.workflow.checks import load_plan
from lib.workflow.keys import visible_params

MIXING = [name for name, arm in ARMS.items() if arm.adds and arm.real]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(MIXING), st.permutations([name for name, one in SWITCHES.items() if not one.streams]), st.integers(0, 6))
def test_an_arm_has_one_name(base, order, count):
    chosen = [switch for i, switch in enumerate(order[:count]) if not {*SWITCHES[switch].against} & {*order[:i]}
              and not any(switch in SWITCHES[other].against for other in order[:i])]
    parts = {switch: f"{switch}=2" if SWITCHES[switch].needed else switch for switch in chosen}
    name = "+".join([base, *(parts[switch] for switch in SWITCHES if switch in chosen)])
    arm = find_arm(name)
    assert arm.base == base and [switch for switch, _ in arm.switches] == [switch for switch in SWITCHES if switch in chosen]
    assert all(arm.has(switch) for switch in chosen) and arm.value("ratio", 7) == (2 if "ratio" in chosen else 7)
    for other in itertools.permutations(parts.values()):
        if (spelt := "+".join([base, *other])) != name:
            with pytest.raises(ValueError, match=r"is written .*, so that one arm has one name"):
                find_arm(spelt)
            break


@pytest.mark.parametrize(("name", "words"), [
    ("difusion_curated",             r"no arm is called 'difusion_curated'; did you mean diffusion_curated\?"),
    ("gan_curated+mixUp",            r"no switch of an arm is called 'mixUp'; did you mean mixup\? known: ratio, range"),
    ("real+mixup",                   r"real\+mixup: \+mixup mixes generated images with real ones, and real does not; it goes with gan"),
    ("synthetic_only+ratio=2",       r"and synthetic_only does not"),
    ("gan_curated+ratio",            r"\+ratio needs a number, e\.g\. \+ratio=1"),
    ("gan_curated+ratio=two",        r"\+ratio is 'two', expected a number from 0 to 100"),
    ("gan_curated+ratio=-1",         r"expected a number from 0 to 100"),
    ("gan_curated+ratio=nan",        r"expected a number from 0 to 100"),
    ("gan_curated+minority=3",       r"\+minority takes no value; its settings stand in classifier\.mixing"),
    ("gan_curated+ramp+ramp",        r"ramp stands there twice"),
    ("gan_curated+ratio=2+replace",  r"\+ratio and \+replace exclude each other"),
    ("gan_curated+ratio=2.0",        r"gan_curated\+ratio=2\.0 is written gan_curated\+ratio=2,"),
    ("gan_curated+on_the_fly",       r"\+on_the_fly draws with one generator, and goes with gan_uncurated and diffusion_uncurated"),
    ("diffusion_and_gan+hybrid",     r"\+hybrid draws with one generator, and goes with gan_curated and diffusion_curated"),
])
def test_what_is_wrong_with_a_name_is_said(name, words):
    with pytest.raises(ValueError, match=words):
        find_arm(name)


def test_the_table_holds_together():
    assert {arm.rule for arm in ARMS.values()} <= set(RULES)
    for name, arm in ARMS.items():
        assert find_arm(name).base == name and not find_arm(name).switches
        assert arm.rule == "each_once" or not arm.adds                  # mixing starts from draws that show each real image as often
        assert arm.real or arm.adds


def test_a_study_must_have_what_an_arm_is_made_of():
    whole, plain = load_study("params/demo.yaml"), load_study("params/phantom_plenty.yaml", {"gan": None})
    for name in ARMS:
        if name != "collected":
            check_arm(name, whole)
    for name in ("diffusion_random", "gan_uncurated", "synthetic_only", "diffusion_and_gan"):
        with pytest.raises(ValueError, match=f"{name} needs images of .*, and the study draws none; add the sections"):
            check_arm(name, plain)
    only_gan = load_study("params/demo.yaml", {"generation.generators": ["gan"]})
    check_arm("synthetic_only", only_gan)
    with pytest.raises(ValueError, match="diffusion_and_gan needs images of diffusion"):
        check_arm("diffusion_and_gan", only_gan)
    with pytest.raises(ValueError, match="needs to know which images were selected; add the section `curation`"):
        check_arm("gan_curated", load_study("params/demo.yaml", {"curation": None}))
    check_arm("gan_uncurated", load_study("params/demo.yaml", {"curation": None}))
    with pytest.raises(ValueError, match="no source has `role: reserve`"):
        check_arm("collected", whole)
    check_arm("collected", load_study("params/demo.yaml", {"split.file": "splits.csv"}))        # it may name a reserve, as for fractions
    assert generators_of(find_arm("collected"), ["gan", "diffusion"]) == ("diffusion",)
    assert generators_of(find_arm("synthetic_only"), ["gan"]) == ("gan",)


def test_names_in_the_mixing_are_those_of_the_study():
    mixing = {"shares": {"6": 0.5, "V–VI": 0.2, "unknown": 0.1}, "minority": ["nevus"]}
    check_mixing(load_study("params/demo.yaml", {"classifier.mixing": mixing}))
    for wrong, words in (({"shares": {"7": 0.5}},     r"shares: .* '7'; known: 1, 2, 3, 4, 5, 6, I–II, III–IV, V–VI, unknown"),
                         ({"minority": ["naevus"]},   r"minority: .*did you mean nevus")):
        with pytest.raises(StudyError, match=f"classifier.mixing: {words}"):
            load_plan("params/demo.yaml", {"classifier.mixing": wrong})


ARMS_OF_CI = ["real", "oversampled", "diffusion_uncurated", "diffusion_curated", "gan_curated", "diffusion_uncurated+on_the_fly",
              "gan_curated+hybrid", "synthetic_only"]


def jobs_of(plan):
    return {job.cells[0]["arm"]: job for job in plan.of("07_classifier") if "fraction" not in job.cells[0]}


def test_an_arm_reads_only_what_it_is_made_of():
    plan = load_plan("params/ci.yaml", {"classifier.arms": ARMS_OF_CI, "classifier.seeds": [0]})
    reads = {arm: {other.id for other in plan.inputs(job)} for arm, job in jobs_of(plan).items()}
    drawn = {f"05_generation/shard-{i}-of-2" for i in (1, 2)}
    assert reads["real"] == reads["oversampled"] == {"01_eda"}
    assert reads["diffusion_uncurated"] == {"01_eda", *drawn}
    assert reads["diffusion_curated"] == {"01_eda", *drawn, "06_curation/diffusion"}
    assert reads["diffusion_uncurated+on_the_fly"] == {"01_eda", "02_textual_inversion", "03_lora"}
    assert {"04_wgan_gp", "06_curation/gan"} < reads["gan_curated+hybrid"] and "06_curation/diffusion" not in reads["gan_curated+hybrid"]
    assert {"06_curation/gan", "06_curation/diffusion"} < reads["synthetic_only"]


@pytest.mark.parametrize(("change", "stale"), [
    ({"classifier.mixing.mixup": 0.3},                {arm for arm in ARMS_OF_CI if arm not in ("real", "oversampled")}),
    ({"diffusion.resampling.classifier": {"5": 0.1}}, {arm for arm in ARMS_OF_CI if arm not in ("real", "oversampled")}),
    ({"generation.guidance": 4},                      {"diffusion_uncurated+on_the_fly", "gan_curated+hybrid"}),
    ({"diffusion.prompts.template": "{diagnosis} on {tone} skin"}, {"diffusion_uncurated+on_the_fly"}),
    ({"gan.penalty": 3},                              {"gan_curated+hybrid"}),
    ({"classifier.epochs": 5},                        set(ARMS_OF_CI)),
    ({"classifier.learning_curve": [0.5]},            set()),
])
def test_an_arm_without_generated_images_stays_when_generators_and_mixing_change(change, stale):
    both = [load_plan("params/ci.yaml", {"classifier.arms": ARMS_OF_CI, "classifier.seeds": [0], **more}) for more in ({}, change)]
    shown = [{arm: visible_params(plan.study, job.stage, job.cells) for arm, job in jobs_of(plan).items()} for plan in both]
    assert {arm for arm in ARMS_OF_CI if shown[0][arm] != shown[1][arm]} == stale
