"""Study files: what is read, what is refused, and whether the message names place and fix."""

from __future__ import annotations

import textwrap

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from small_study import STUDY as GOOD

from lib.study import ROOT, Study, StudyError, fingerprint, load_study, place_of
from lib.study.file import parse_override


@pytest.fixture
def study_file(tmp_path):
    """Write a study file and return its path."""
    def write(text: str, name: str = "s.yaml"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path
    return write


@pytest.mark.parametrize("path", sorted((ROOT / "params").glob("*.yaml")), ids=lambda path: path.stem)
def test_committed_studies_load(path):
    study = load_study(path)
    assert study.name == path.stem


def test_defaults_and_overrides(study_file):
    path = study_file(GOOD)
    assert load_study(path).classifier.seeds == [0, 1, 2]
    changed = load_study(path, {"classifier.seeds": [7], "data.sources.0.phantom.patients": 9})
    assert changed.classifier.seeds == [7]
    assert changed.data.sources[0].phantom.patients == 9


def test_extends_merges_mappings_and_replaces_the_rest(study_file):
    study_file(GOOD + "classifier: {epochs: 4, seeds: [1, 2]}\n", "base.yaml")
    child = study_file("extends: base.yaml\nname: child\nclassifier: {seeds: [3]}\n", "child.yaml")
    study = load_study(child)
    assert (study.name, study.title, study.classifier.epochs, study.classifier.seeds) == ("child", "A tiny study", 4, [3])


def test_null_falls_back_to_the_default(study_file):
    study_file(GOOD + "classifier: {epochs: 4}\n", "base.yaml")
    child = study_file("extends: base.yaml\nclassifier: {epochs: null}\n", "child.yaml")
    assert load_study(child).classifier.epochs == 12


def test_error_in_the_extended_file_names_that_file(study_file):
    study_file(GOOD + "classifier: {epochs: many}\n", "base.yaml")
    child = study_file("extends: base.yaml\n", "child.yaml")
    with pytest.raises(StudyError, match=r"base\.yaml:11  classifier\.epochs: got \"many\", expected"):
        load_study(child)


BAD = {
    "misspelt section":     (GOOD + "clasifier: {}\n", r"s\.yaml:11  clasifier: unknown key; did you mean classifier\?"),
    "misspelt key":         (GOOD + "statistics:\n  resampels: 3\n", r":12  statistics\.resampels: unknown key; did you mean resamples\?"),
    "nothing close":        (GOOD + "split: {qqq: 1}\n", r":11  split\.qqq: unknown key; known here: train, validation"),
    "wrong type":           (GOOD + "classifier: {epochs: three}\n", r":11  classifier\.epochs: got \"three\", expected integer"),
    "out of range":         (GOOD + "classifier: {epochs: 0}\n", r":11  classifier\.epochs: got 0, expected greater than or equal to 1"),
    "unknown choice":       (GOOD + "compute: {device: tpu}\n", r":11  compute\.device: got \"tpu\", expected 'auto', 'cpu' or 'cuda'"),
    "missing":              (GOOD.replace("title: A tiny study\n", ""), r"title: is needed and not set"),
    "in a list":            (GOOD.replace("patients: 5", "patients: none"), r":6  data\.sources\.0\.phantom\.patients: got \"none\""),
    "one class":            (GOOD.replace("    b: [y, z]\n", ""), r":8  labels\.classes: has 1 entries, expected at least 2"),
    "value in two classes": (GOOD.replace("[y, z]", "[x]"), r":7  labels: x stands twice"),
    "positive is no class": (GOOD + "  positive: [q]\n", r":7  labels: positive names q, which is not a class; classes are a, b"),
    "all positive":         (GOOD + "  positive: [a, b]\n", r"leave at least one negative"),
    "split adds up":        (GOOD + "split: {train: 0.5}\n", r":11  split: train \+ validation \+ test is 0\.8, expected 1"),
    "no test set":          (GOOD + "split: {train: 0.8, validation: 0.2, test: 0}\n", r"nothing would be tested"),
    "only tests":           (GOOD.replace("    - dataset", "    - role: test_only\n      dataset"), r"nothing would be trained"),
    "only a reserve":       (GOOD.replace("    - dataset", "    - role: reserve\n      dataset"), r"nothing would be trained"),
    "curve without real":   (GOOD + "classifier: {arms: [classical, oversampled], learning_curve: [0.5]}\n"
                             "statistics: {primary: {baseline: classical}}\n", r"learning_curve trains arm real .* lacks it; add real"),
    "curve twice":          (GOOD + "classifier: {learning_curve: [0.5, 0.5]}\n", r"classifier\.learning_curve: lists something twice"),
    "no fraction":          (GOOD + "classifier: {learning_curve: [0]}\n", r"learning_curve\.0: got 0, expected greater than 0"),
    "more than there are":  (GOOD + "classifier: {learning_curve: [0.5, 2]}\n", r"asks for 2 times .* no source has `role: reserve`"),
    "same source twice":    (GOOD.replace("labels:", "    - {dataset: phantom, phantom: {}}\nlabels:"), r"two sources are called the same"),
    "phantom without":      (GOOD.replace("      phantom: {patients: 5}\n", ""), r"`phantom` belongs to sources with `dataset: phantom`"),
    "columns elsewhere":    (GOOD.replace("dataset: phantom", "dataset: phantom\n      table: a.csv"), r"belong to sources .*image_folder"),
    "arm not run":          (GOOD + "statistics: {primary: {arm: gan}}\n", r"primary\.arm is 'gan', not among classifier\.arms"),
    "arm with itself":      (GOOD + "statistics: {primary: {arm: real}}\n", r"compares an arm with itself"),
    "group not there":      (GOOD + "statistics: {primary: {group: VI}}\n", r"statistics\.primary\.group is 'VI', not among the groups"),
    "seed twice":           (GOOD + "classifier: {seeds: [1, 1]}\n", r":11  classifier\.seeds: lists something twice"),
    "bad share":            (GOOD.replace("patients: 5", "tone_shares: {7: 1}"), r"tone_shares: expected Fitzpatrick types 1 to 6"),
    "range upside down":    (GOOD.replace("patients: 5", "images_per_lesion: [3, 1]"), r"expected \[low, high\]"),
    "bad name":             (GOOD.replace("name: tiny", "name: ../up"), r":1  name: got \"\.\./up\""),
    "key twice":            (GOOD + "name: again\n", r":11  name: written twice"),
    "not YAML":             (GOOD + "x: [1,\n", r"s\.yaml:\d+  not valid YAML"),
    "a list":               ("- a\n- b\n", r"expected keys and values, found list"),
    "empty":                ("", r"expected keys and values, found nothing"),
    "extends nothing":      ("extends: nowhere.yaml\n", r":1  extends: no file nowhere\.yaml"),
    "extends itself":       ("extends: s.yaml\n", r"extends itself"),
    "itself as value":      (GOOD + "split: &a [*a]\n", r"refers to itself"),
    "infinite":             (GOOD + "classifier: {learning_rate: .inf}\n", r":11  classifier\.learning_rate: .*finite"),
    "seed too large":       (GOOD + "classifier: {seeds: [99999999999]}\n", r"classifier\.seeds\.0: got 99999999999, expected less"),
    "scale upside down":    (GOOD + "classifier: {augmentation: {scale: [2, 1]}}\n", r"scale: expected \[low, high\]"),
    "group called all":     (GOOD + "groups: {values: {all: [1]}}\n", r":11  groups: a group cannot be called 'all'"),
    "group without name":   (GOOD + "groups: {values: {'': [1]}}\n", r"a group cannot be called ''"),
    "value in two groups":  (GOOD + "groups: {values: {a: [1], b: [1, 2]}}\n", r"1 stands in two groups"),
    "class without name":   (GOOD.replace("    a: [x]", "    '': [x]"), r"a class has no name"),
    "warmup to the end":    (GOOD + "diffusion: {lora: {steps: 50, warmup: 50}}\n", r"lora: warmup is 50 and steps is 50, so the learning"),
    "default warmup":       (GOOD + "diffusion: {tokens: {steps: 50}}\n", r"warmup is 100, its default, and steps is 50, .*well below"),
    "sliced IP-Adapter":    (GOOD + "diffusion: {}\ngeneration: {attention_slicing: true, image_prompt: {mode: ip_adapter}}\n",
                             r"generation: attention_slicing would put an IP-Adapter"),
    "python object":        ("name: !!python/object/apply:os.getcwd []\n", r"not valid YAML"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_say_where_and_what(case, study_file):
    text, message = BAD[case]
    with pytest.raises(StudyError, match=message) as caught:
        load_study(study_file(text))
    assert "Traceback" not in str(caught.value)


def test_several_mistakes_are_told_at_once(study_file):
    with pytest.raises(StudyError) as caught:
        load_study(study_file(GOOD + "classifier: {epochs: 0, batch_sise: 3}\n"))
    assert len(str(caught.value).splitlines()) == 2


def test_not_utf8(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(GOOD.replace("tiny study", "groß").encode("latin-1"))
    with pytest.raises(StudyError, match=r"not UTF-8 text .*save the file as UTF-8"):
        load_study(path)


def test_a_folder_is_no_study_and_unreadable_files_are_told(tmp_path, monkeypatch):
    path = tmp_path / "s.yaml"
    path.write_text(GOOD)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(StudyError, match=r"cannot be read \(Permission denied\)"):
        load_study(path)


def test_byte_order_mark_is_ignored(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert load_study(path).name == "tiny"


def test_no_such_file_names_the_closest():
    with pytest.raises(StudyError, match=r"did you mean params/demo\.yaml\?"):
        load_study("params/dmeo.yaml")


@pytest.mark.parametrize(("override", "message"), [
    ({"clasifier.epochs": 3},         r"-p clasifier\.epochs  clasifier: unknown key; did you mean classifier\?"),
    ({"classifier.epochs": "x"},      r"-p classifier\.epochs  classifier\.epochs: got \"x\""),
    ({"name.first": 1},               r"-p name\.first: name is a single value"),
    ({"data.sources.4.name": "x"},    r"4 is not an item of a list of 1"),
])
def test_bad_overrides_name_themselves(override, message, study_file):
    with pytest.raises(StudyError, match=message):
        load_study(study_file(GOOD), override)


@pytest.mark.parametrize(("text", "value"), [("a.b=5", 5), ("a=[1, 2]", [1, 2]), ("a=x=y", "x=y"), ("a=", None)])
def test_parse_override(text, value):
    assert parse_override(text)[1] == value


@pytest.mark.parametrize("text", ["a", "=3", "a=[1,"])
def test_parse_override_refuses(text):
    with pytest.raises(StudyError):
        parse_override(text)


def test_place_of(study_file):
    path = study_file(GOOD)
    assert place_of("labels.classes.b", path).endswith(":10")
    assert place_of("labels.exclude", path).endswith(":7")
    assert place_of("classifier.arms", path, {"classifier.arms": ["real"]}) == "-p classifier.arms"


def test_resolved_study_loads_to_the_same(study_file):
    study = load_study(ROOT / "params" / "demo.yaml")
    again = load_study(study_file(yaml.safe_dump(study.as_dict(), allow_unicode=True)))
    assert again == study


@settings(deadline=None, max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8))
def test_any_value_anywhere_is_a_study_error_or_fine(value):
    for key in ("classifier", "data.sources", "labels.classes", "split.train", "statistics.primary"):
        try:
            assert isinstance(load_study(ROOT / "params" / "demo.yaml", {key: value}), Study)
        except StudyError as error:
            assert str(error)


def test_fingerprint_is_of_the_value_alone():
    assert fingerprint({"a": 1, "b": [2.5, "ü"]}) == fingerprint({"b": [2.5, "ü"], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


# ── several primary comparisons ──────────────────────────────────────────────────────────────────────────────────

def test_one_primary_needs_no_list_and_several_are_one(study_file):
    one = load_study(study_file(GOOD + "statistics: {primary: {metric: auroc, arm: classical}}\n"))
    several = load_study(study_file(GOOD + "statistics: {primary: [{metric: auroc, arm: classical}, {metric: macro_f1}]}\n"))
    assert [primary.metric for primary in one.statistics.primary] == ["auroc"]
    assert [primary.metric for primary in several.statistics.primary] == ["auroc", "macro_f1"]


@pytest.mark.parametrize(("primary", "message"), [
    ("{margin: -1}",                                r":\d+  statistics\.primary\.margin: got -1"),
    ("[{metric: auroc}, {margin: -1}]",             r":\d+  statistics\.primary\.1\.margin: got -1"),
    ("[{metric: auroc}, {metric: auroc}]",          r"declares one comparison twice"),
    ("[]",                                          r"has 0 entries, expected at least 1"),
    ("{arm: real}",                                 r"compares an arm with itself"),
    ("[{metric: auroc}, {arm: nobody}]",            r"statistics\.primary\.arm is 'nobody'"),
])
def test_bad_primaries_say_where_and_what(study_file, primary, message):
    with pytest.raises(StudyError, match=message):
        load_study(study_file(GOOD + f"statistics:\n  primary: {primary}\n"))


def test_conditions_belong_to_a_source(study_file):
    with pytest.raises(StudyError, match=r"labels\.conditions names nowhere; sources are"):
        load_study(study_file(GOOD), {"labels.conditions": {"nowhere": {"a": "nevus"}}})


@pytest.mark.parametrize(("override", "message"), [
    ({"classifier.epochs": True},                                   r"classifier\.epochs: got true .*expected a number"),
    ({"labels.classes": {"a": ["x"], "A ": ["y"]}},                 r"'a' and 'A ' differ only in spaces or capitals"),
    ({"groups.values": {"I–II": [1, 2], "i–ii": [3]}},              r"differ only in spaces or capitals"),
    ({"classifier.arms": ["real", "classical"]},                    r"arm is 'oversampled', .*that is the default: write the comparison"),
    ({"title": "\ud800"},                                           r"half a character"),
])
def test_values_that_would_pass_unseen(study_file, override, message):
    with pytest.raises(StudyError, match=message):
        load_study(study_file(GOOD), override)


# ── what draws ───────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("override", [
    {"diffusion.tokens.cells": ["6", "I–II", "unknown"], "diffusion.resampling.batches": {"6": 0.5, "V–VI": 0.2, "unknown": 0.3}},
    {"diffusion.tokens.cells": ["5"], "generation.tones": {"5": 1.0}, "groups": {"column": "sex", "values": {"women": ["female"]}}},
    {"diffusion.prompts.by": "group", "diffusion.tokens.cells": ["V–VI", "unknown"], "generation.tones": {"V–VI": 1.0}},
    {"diffusion.lora.patience": 3, "diffusion.lora.validate_every": 100},
])
def test_training_images_are_named_as_fine_as_they_were_annotated(study_file, override):
    load_study(study_file(GOOD + "diffusion: {}\ngeneration: {}\n"), override)


@pytest.mark.parametrize(("override", "message"), [
    ({"diffusion.tokens.cells": ["7"]},                     r"diffusion\.tokens\.cells names 7; expected 1, 2, .*, I–II, .*unknown"),
    ({"diffusion.resampling.batches": {"V-VI": 1.0}},       r"diffusion\.resampling\.batches names V-VI; expected .*V–VI, unknown"),
    ({"diffusion.prompts.by": "group", "diffusion.tokens.cells": ["6"]},  r"diffusion\.tokens\.cells names 6; expected I–II, III–IV"),
    ({"generation.tones": {"I–II": 1.0}},                   r"generation\.tones names I–II; expected 1, 2, 3, 4, 5, 6"),
    ({"diffusion.tokens.initialisers": {"c": "x"}},         r"diffusion\.tokens\.initialisers names c; expected a, b"),
    ({"diffusion.lora.patience": 3},                        r"patience is 3, and validate_every: 0 .* would never stop early"),
    ({"diffusion.tokens": {"patience": 1, "steps": 50, "validate_every": 50}}, r"patience is 1, and validate_every: 50"),
])
def test_what_draws_names_only_what_there_is(study_file, override, message):
    with pytest.raises(StudyError, match=message):
        load_study(study_file(GOOD + "diffusion: {}\ngeneration: {}\n"), override)
