"""From a study's data section to samples: what the section asks for reaches intake, and the evidence is written whatever happens."""

from __future__ import annotations

import pandas as pd
import pytest

from lib.data.errors import DataError
from lib.data.prepare import bring_in, draw_sources, split_samples
from lib.study import Data, Duplicates, Groups, Labels, PhantomOptions, Source, Split

AB = Labels(classes={"a": ["a"], "b": ["b"]})


def test_lists_policy_and_rows_reach_intake(tmp_path, builders):
    one = builders["build_class_folders"](tmp_path / "one", {"a": 6, "b": 6})
    two = builders["build_class_folders"](tmp_path / "two", {"a": 3, "b": 3}, first_seed=9_000)
    (two / "a" / "900.jpg").write_bytes((one / "a" / "000.jpg").read_bytes())
    (tmp_path / "list.csv").write_text("image_name_1,image_name_2\none/a/001.jpg,one/b/002.jpg\n")
    sources = [Source(dataset="image_folder", name=name, folder=name) for name in ("one", "two")]
    data = Data(sources=sources, shared_images="first_source", duplicates=Duplicates(near=False, pairs=["list.csv"]))
    roots, path = {"one": one, "two": two}, tmp_path / "out" / "quarantine.csv"
    intake = bring_in(data, AB, Groups(), roots, path, root=tmp_path, cache=tmp_path / "cache", threads=2)
    assert intake.quarantine["reason"].tolist() == ["stands in one, too"]
    assert pd.read_csv(path)["reason"].tolist() == ["stands in one, too"]
    assert intake.pairs["kind"].tolist() == ["identical", "published"]
    samples = split_samples(intake.samples, data, Split(), tmp_path)
    place = samples.set_index("image_id")["split"]
    assert place["one/a/001.jpg"] == place["one/b/002.jpg"]
    few = bring_in(data.model_copy(update={"rows": 4}), AB, Groups(), roots, path, root=tmp_path)
    assert few.account["used"].tolist() == [4, 4]


def test_near_duplicates_are_looked_for_unless_the_study_says_no(tmp_path, builders):
    source = Source(dataset="phantom", name="p", phantom=PhantomOptions(patients=30, seed=1_750_000))
    labels = Labels(classes={"a": ["melanoma", "nevus", "basal_cell_carcinoma"],
                             "b": ["actinic_keratosis", "seborrheic_keratosis", "dermatofibroma", "vascular"]})
    data = Data(sources=[source])
    draw_sources(data, {"p": tmp_path / "p"})
    table = pd.read_csv(tmp_path / "p" / "metadata.csv")
    one, other = table.drop_duplicates("patient_id")["file"].iloc[:2]
    from PIL import Image

    with Image.open(tmp_path / "p" / one) as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(tmp_path / "p" / other)
    for near in (True, False):
        data = Data(sources=[source], duplicates=Duplicates(near=near))
        intake = bring_in(data, labels, Groups(), {"p": tmp_path / "p"}, tmp_path / "q.csv")
        assert (intake.pairs["kind"].tolist() == ["near"]) is near
        assert intake.samples["cluster_id"].nunique() == 30 - near


def test_the_list_of_what_is_not_used_is_written_when_intake_fails_too(tmp_path, builders):
    folder = builders["build_class_folders"](tmp_path / "m", {"a": 3, "b": 3})
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"broken")
    data = Data(sources=[Source(dataset="image_folder", name="m", folder="m")])
    with pytest.raises(DataError, match="6 of the 6 images present are refused"):
        bring_in(data, AB, Groups(), {"m": folder}, tmp_path / "q.csv")
    assert len(pd.read_csv(tmp_path / "q.csv")) == 6
    data = Data(sources=data.sources, duplicates=Duplicates(pairs=["gone.csv"]))
    with pytest.raises(DataError, match=r"data\.duplicates\.pairs: no file .*gone\.csv"):
        bring_in(data, AB, Groups(), {"m": builders["build_class_folders"](tmp_path / "n", {"a": 3, "b": 3})}, tmp_path / "q.csv",
                 root=tmp_path)
