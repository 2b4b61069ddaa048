"""SIGKILL anywhere: the same command again ends with the same numbers."""

from __future__ import annotations

import pytest
from project import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One copy for both."""
    return Project.copy(tmp_path_factory.mktemp("kill"))


@pytest.fixture(scope="module")
def uninterrupted(project):
    """Results of a run nobody disturbed, one job after the other, in a folder of its own."""
    project.environment["OUTPUTS_ROOT"] = "quiet"
    done = project.run("--jobs", "1")
    assert done.returncode == 0, done.stderr + done.stdout
    results = project.results()
    del project.environment["OUTPUTS_ROOT"]
    return results


def exists(pattern):
    """The moment at which a file matching `pattern` lies under outputs/tiny."""
    return lambda project: any((project.root / "outputs" / "tiny").glob(pattern))


# In the order in which a study reaches them: each is ahead of what the kill before it left.
MOMENTS = {
    "while drawing":                exists("01_eda/images/clinic/images/*/*.png"),
    "tables written, not recorded": exists("01_eda/finished.json"),
    "a stage is recorded":          exists("01_eda/record.json"),
    "inside training":              exists("07_classifier/work/*/checkpoints/*"),
    "predictions written":          exists("07_classifier/*/predictions.parquet"),
    "inside the last stage":        exists("09_statistics/figures/*"),
}


@pytest.fixture(scope="module")
def battered(project, uninterrupted):
    """Kill the run at every moment in turn, each time going on from what the last kill left. Returns the moments at which it was hit.

    On a loaded machine a kill may come so late that the next moment has passed with it; that one is left out.
    """
    hit = []
    for name, moment in MOMENTS.items():
        if not moment(project):
            assert project.run_and_kill(moment), f"{name}: the run had ended"
            hit.append(name)
    return hit


def test_the_kills_hit_a_running_study(battered):
    assert len(battered) >= len(MOMENTS) - 1 and "inside training" in battered


def test_killed_run_ends_like_an_uninterrupted_one(project, battered, uninterrupted):
    """Which also says that two runs are identical, in another folder and with another number of jobs at once."""
    again = project.run()
    assert again.returncode == 0, again.stderr + again.stdout
    tables = {name.split("/")[0] for name in uninterrupted if name.endswith(".parquet")}
    assert tables >= {"01_eda", "07_classifier"} and {"01_eda/metrics.json", "09_statistics/metrics.json"} <= set(uninterrupted)
    assert project.results() == uninterrupted


def test_nothing_is_left_lying_around(project, battered):
    project.run()
    leftovers = [path.name for path in (project.root / "outputs" / "tiny").rglob(".*") if path.is_file()]
    assert leftovers == []


def test_a_second_run_at_the_same_time_is_refused(project, battered):
    answers = []

    def ask(project):
        if (project.root / "outputs" / ".state" / "tiny" / "events.jsonl").is_file():
            answers.append(project.run())
            return True
        return False

    project.forget_events()
    project.run_and_kill(ask, "--force", "09")
    assert answers[0].returncode == 1
    assert "another run is working on tiny" in answers[0].stderr
