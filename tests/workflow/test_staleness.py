"""What reruns after which change: each is a real run of a tiny study in a private copy of the checkout."""

from __future__ import annotations

import pytest
from project import Project

SUMMARIES = {"08_ablations", "09_statistics"}                            # what reads every chunk of 07


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A copy whose tiny study has run once."""
    project = Project.copy(tmp_path_factory.mktemp("staleness"))
    first = project.run()
    assert first.returncode == 0, first.stderr + first.stdout
    return project


def rerun(project, *arguments):
    """Run again; returns the jobs whose notebook was executed."""
    project.forget_events()
    again = project.run(*arguments)
    assert again.returncode == 0, again.stderr + again.stdout
    return project.executed()


def chunks(jobs):
    """Chunks of 07 among jobs, without their hashes."""
    return sorted(job.split("/")[1].rsplit("-", 1)[0] for job in jobs if job.startswith("07"))


def test_nothing_runs_twice(finished):
    assert rerun(finished) == set()
    assert "everything is up to date" in finished.run().stdout


def test_readme_and_comments_make_nothing_stale(finished):
    (finished.root / "README.md").write_text("changed", encoding="utf-8")
    finished.edit("lib/stats/verdict.py", "from __future__", "# a remark\nfrom __future__")
    assert rerun(finished) == set()


def test_plumbing_makes_nothing_stale(finished):
    finished.edit("lib/workflow/board.py", "from __future__ import annotations\n", "from __future__ import annotations\nMARK = 1\n")
    assert rerun(finished) == set()


def test_statistics_source_reruns_only_statistics(finished):
    finished.edit("lib/stats/power.py", "from __future__ import annotations\n", "from __future__ import annotations\nMARK = 1\n")
    status = finished.run("--status").stdout
    assert "09_statistics" in status and "lib.stats.power changed" in status
    assert rerun(finished, "--until", "07") == set()
    assert rerun(finished) == {"09_statistics"}


def test_touching_and_remaking_the_same_makes_nothing_after_it_stale(finished):
    (finished.root / "outputs" / "tiny" / "01_eda" / "samples.parquet").touch()
    assert rerun(finished) == set()
    finished.edit("lib/report/skin_tone.py", "from __future__ import annotations\n", "from __future__ import annotations\nMARK = 1\n")
    assert rerun(finished) == {"01_eda"}


def test_a_seed_more_computes_only_that_seed(finished):
    before = finished.results()
    executed = rerun(finished, "-p", "classifier.seeds=[0, 1]")
    assert chunks(executed) == ["oversampled-small_cnn", "real-small_cnn"]
    assert {job.split("/")[0] for job in executed} == {"07_classifier", *SUMMARIES}
    after = finished.results()
    assert all(after[name] == before[name] for name in before if not name.startswith(("08", "09")))
    assert rerun(finished) == SUMMARIES                                  # back to one seed: only the summaries change


def test_epochs_rerun_the_classifier_and_what_follows(finished):
    assert "classifier.epochs 2 → 1" in finished.run("--status", "-p", "classifier.epochs=1").stdout
    finished.edit("params/tiny.yaml", "epochs: 2", "epochs: 1")          # for good: going back would train everything once more
    assert "classifier.epochs 2 → 1" in finished.run("--status").stdout
    executed = rerun(finished)
    assert chunks(executed) == ["oversampled-small_cnn", "real-small_cnn"]
    assert "01_eda" not in executed and executed >= SUMMARIES


def test_missing_and_altered_outputs_are_made_again(finished):
    results = finished.results()
    (finished.root / "outputs" / "tiny" / "09_statistics" / "metrics.json").unlink()
    samples = finished.root / "outputs" / "tiny" / "01_eda" / "samples.parquet"
    samples.write_bytes(samples.read_bytes() + b" ")
    status = finished.run("--status").stdout
    assert "metrics.json is missing" in status and "samples.parquet was altered" in status
    assert rerun(finished, "--only", "01") == {"01_eda"}
    assert rerun(finished) == {"09_statistics"}
    assert finished.results() == results


def test_force_and_accept(finished):
    assert rerun(finished, "--only", "08", "--force", "08") == {"08_ablations"}
    assert rerun(finished, "--force", "09") == {"09_statistics"}
    finished.edit("lib/metrics/accuracy.py", "from __future__ import annotations\n", "from __future__ import annotations\nMARK = 1\n")
    assert "lib.metrics.accuracy changed" in finished.run("--dry-run").stdout
    accepted = finished.run("--accept", "09", "--accept", "08", "--accept", "07")
    assert accepted.returncode == 0 and "09_statistics: 1 job(s) marked as still valid" in accepted.stdout
    assert rerun(finished) == set()
    assert "lib.metrics.accuracy changed" in (finished.root / "outputs" / "tiny" / "09_statistics" / "provenance.json").read_text()
