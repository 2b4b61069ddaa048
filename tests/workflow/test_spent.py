"""What an arm took: its trainings and the generator behind it, and nothing of the other generator."""

import pytest

from lib.files import write_json
from lib.study import load_study
from lib.workflow.plan import Job, Plan
from lib.workflow.spent import time_spent
from lib.workflow.stages import Stage


def stage(name, reads=()):
    return Stage(name=name, question="", reads=reads, writes=(), params=())


EDA, TOKENS, LORA = stage("01_eda"), stage("02_textual_inversion", ("01_eda",)), stage("03_lora", ("01_eda", "02_textual_inversion"))
GAN = stage("04_wgan_gp", ("01_eda",))
DRAW, CURATE = stage("05_generation", ("03_lora", "04_wgan_gp")), stage("06_curation", ("05_generation",))
PLAIN, DRAWN = stage("07_classifier", ("01_eda",)), stage("07_classifier", ("01_eda", "05_generation", "06_curation"))
UNCURATED = stage("07_classifier", ("01_eda", "05_generation"))


def train(chunk, arm, seeds, where=PLAIN, **more):
    return Job("s", where, chunk, tuple({"arm": arm, "architecture": "a", "seed": seed, **more} for seed in seeds))


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A study with both generators, whose jobs took 1, 2, 4, 8 … minutes, so that any sum tells what is in it."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    jobs = [Job("s", EDA, None), Job("s", TOKENS, None), Job("s", LORA, None), Job("s", GAN, None)]
    jobs += [Job("s", DRAW, name, ({"generator": name},)) for name in ("diffusion", "gan")]
    jobs += [Job("s", CURATE, name, ({"generator": name},)) for name in ("diffusion", "gan")]
    jobs += [train("r1", "real", (0, 1)), train("r2", "real", (2,)), train("q", "real", (0, 1), fraction=0.5),
             train("d", "diffusion_curated", (0,), DRAWN), train("u", "gan_uncurated", (0,), UNCURATED),
             train("b", "diffusion_and_gan", (0,), DRAWN), train("c", "collected", (0,), DRAWN)]
    for power, job in enumerate(jobs):
        write_json(job.provenance, {"seconds": 60.0 * 2**power, "device": "CPU, 4 cores"})
    return Plan(load_study("params/ci.yaml"), tuple(jobs))


def test_each_arm_pays_its_own_trainings_and_generators_once(plan):
    table = time_spent(plan).set_index("arm")
    powers = (2**i for i in range(1, 15))                              # 01_eda, the first, is paid by nobody
    tokens, lora, gan, draw, draw_gan, curate, curate_gan, first, second, _, curated, uncurated, both, collected = powers
    assert table["training"].tolist() == pytest.approx([(first + second) / 3, curated, uncurated, both, collected])
    assert table["generator"].to_dict() == {
        "real": 0, "diffusion_curated": tokens + lora + draw + curate, "gan_uncurated": gan + draw_gan,
        "diffusion_and_gan": tokens + lora + gan + draw + draw_gan + curate + curate_gan, "collected": 0}
    assert set(table["devices"]) == {("CPU",)} and not any(table["unknown"])


def test_a_job_without_a_time_makes_the_sum_unknown_and_is_named(plan):
    plan.of("03_lora")[0].provenance.unlink()
    table = time_spent(plan).set_index("arm")
    assert table["generator"].isna().to_dict() == {"real": False, "diffusion_curated": True, "gan_uncurated": False,
                                                   "diffusion_and_gan": True, "collected": False}
    assert table.loc["diffusion_curated", "unknown"] == ("03_lora",) and table["training"].notna().all()


def test_devices_are_named_once(plan):
    write_json(plan.of("03_lora")[0].provenance, {"seconds": 1.0, "device": "NVIDIA H100"})
    assert time_spent(plan).set_index("arm").loc["diffusion_curated", "devices"] == ("CPU", "NVIDIA H100")


def test_a_fold_pays_for_its_own_generator(plan):
    folds = [Job("s", stage("03_lora", ("01_eda",)), f"fold{i}", ({"fold": i},)) for i in (1, 2)]
    folds += [Job("s", stage("05_generation", ("03_lora",)), f"fold{i}-d", ({"generator": "diffusion", "fold": i},)) for i in (1, 2)]
    folds += [train(f"fold{i}", "diffusion_curated", (0,), UNCURATED, fold=i) for i in (1, 2)]
    for power, job in enumerate(folds):
        write_json(job.provenance, {"seconds": 60.0 * 2**power, "device": "CPU, 1 cores"})
    (row,) = time_spent(Plan(plan.study, tuple(folds))).to_dict("records")
    assert row["generator"] == 1 + 4 and row["training"] == (16 + 32) / 2
