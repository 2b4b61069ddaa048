"""Data that cannot be used: exit 1, one message that names the fix, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from PIL import Image
from project import Project

from lib.data.errors import DataError
from lib.data.prepare import bring_in, split_samples
from lib.study import load_study

STUDY = {
    "name": "mine", "title": "Mine",
    "data": {"image_size": 32, "sources": [{"dataset": "image_folder", "folder": "pictures", "domain": "clinical"}]},
    "labels": {"classes": {"one": ["a"], "two": ["b"]}},
    "groups": {"column": "domain", "values": {"clinical": ["clinical"]}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy with its own DATA_ROOT, relative as people type it, and a study of class folders."""
    project = Project.copy(tmp_path_factory.mktemp("bad_data"))
    project.environment["DATA_ROOT"] = "pool"
    return project


def write_study(project, **changes):
    (project.root / "params" / "mine.yaml").write_text(yaml.safe_dump({**STUDY, **changes}), encoding="utf-8")


def write_pictures(project, **folders):
    for name, count in folders.items():
        rng = np.random.default_rng([ord(letter) for letter in name])
        folder = project.root / "pool" / "pictures" / name
        folder.mkdir(parents=True, exist_ok=True)
        for n in range(count):
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{name}{n}.png")


def fail(project):
    """Run stage 01 of the study; returns what a person reads."""
    answer = project.run("--until", "01", study="params/mine.yaml")
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr and len(answer.stderr.strip().splitlines()) <= 4
    notebook = answer.stderr.rsplit("notebook: ", 1)[1].strip()
    assert notebook.endswith("01_eda.failed.ipynb") and (project.root / notebook).is_file()
    return answer.stderr


def refuse(project):
    """The same asked of the library: what it says, `fail` shows as it is."""
    study, pool = load_study(project.root / "params" / "mine.yaml"), project.root / "pool"
    with pytest.raises(DataError) as told:
        intake = bring_in(study.data, study.labels, study.groups, {"image_folder": pool / "pictures"}, project.root / "quarantine.csv")
        split_samples(intake.samples, study.data, study.split, pool)
    assert len(str(told.value).splitlines()) == 1
    return str(told.value)


def test_missing_folder(project):
    write_study(project)
    message = fail(project)
    assert "pool/pictures" in message and "DATA_ROOT" in message


def test_unknown_label_then_empty_class_then_one_patient_then_fine(project):
    write_study(project)
    write_pictures(project, a=6, c=2)
    assert "'c'" in fail(project) or " c" in fail(project)                 # no class names it: never silently "other"
    write_study(project, labels={"classes": {"one": ["a"], "two": ["b"]}, "exclude": ["c"]})
    assert "two" in refuse(project)                                        # no image of b
    write_pictures(project, b=1)
    message = refuse(project)
    assert "two" in message and "labels.exclude" in message
    write_pictures(project, b=6)
    done = project.run("--until", "01", study="params/mine.yaml")
    assert done.returncode == 0, done.stderr
    assert (project.root / "outputs" / "mine" / "01_eda" / "samples.parquet").is_file()
    assert not (project.root / "outputs" / "mine" / "01_eda" / "01_eda.failed.ipynb").exists()
    assert "up to date" in project.run("--status", "--until", "01", study="params/mine.yaml").stdout
    write_pictures(project, b=7)                                           # one more picture makes the study stale
    assert "files of image_folder changed" in project.run("--status", study="params/mine.yaml").stdout


def test_too_many_bad_images_leave_the_list(project):
    write_study(project, name="spoilt", labels={"classes": {"one": ["a"], "two": ["b"]}, "exclude": ["c"]})
    write_pictures(project, a=6, b=6, c=1)
    (project.root / "pool" / "pictures" / "a" / "broken.png").write_bytes(b"not a picture")
    message = fail(project)
    assert "max_quarantined" in message and "broken" in message
    listed = (project.root / "outputs" / "spoilt" / "01_eda" / "quarantine.csv").read_text(encoding="utf-8")
    assert "broken" in listed
    (project.root / "pool" / "pictures" / "a" / "broken.png").unlink()


def test_a_study_that_cannot_be_read_ends_with_2(project):
    (project.root / "params" / "mine.yaml").write_text("name: mine\ntitle: [\n", encoding="utf-8")
    answer = project.run(study="params/mine.yaml")
    assert answer.returncode == 2 and "params/mine.yaml:" in answer.stderr and "Traceback" not in answer.stderr
