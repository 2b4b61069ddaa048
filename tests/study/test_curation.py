"""The section `curation` of a study: defaults, limits of checks, and what it refuses."""

from __future__ import annotations

import pytest
from small_study import STUDY as GOOD

from lib.study import Check, Curation, StudyError, load_study

DRAWS = "diffusion: {}\ngeneration: {}\n"


@pytest.fixture
def load(tmp_path):
    """A small study with sections added, and overrides."""
    def loaded(sections: str = DRAWS + "curation: {}\n", overrides=None):
        path = tmp_path / "s.yaml"
        path.write_text(GOOD + sections, encoding="utf-8")
        return load_study(path, overrides)
    return loaded


def test_defaults(load):
    curation = load().curation
    assert curation.held_out == "validation" and curation.random_subset and curation.encoder != curation.second_encoder
    assert len({check.title for check in curation.checks}) == len(curation.checks)
    assert load(DRAWS).curation is None
    assert Curation.model_validate(curation.model_dump(mode="json")) == curation


def test_a_list_in_yaml(load):
    checks = load(DRAWS + """
curation:
  held_out: validation
  quota: {a: {"5": 10}}
  checks:
    - {check: blur, least: 100}
    - {check: ssim, least: 0.3, most: {percentile: 99}}
    - {check: realism, least: {percentile: 1}, per: cell}
    - {check: realism, name: texture, encoder: spectrum, least: 1, unmeasured: keep}
""").curation.checks
    assert [check.title for check in checks] == ["blur", "ssim", "realism", "texture"]
    assert checks[0].least == 100 and checks[1].most.percentile == 99 and checks[2].per == "cell"


@pytest.mark.parametrize(("override", "message"), [
    ({"curation.checks": [{"check": "blurr", "least": 1}]}, r"curation\.checks\.check: no check is called 'blurr'; did you mean blur\?"),
    ({"curation.checks": [{"check": "ssim", "least": "high"}]},      r"got 'high', expected a number \(SSIM .*\) or \{percentile: 0–100\}"),
    ({"curation.checks": [{"check": "ssim", "least": True}]},        r"got True, expected a number"),
    ({"curation.checks": [{"check": "ssim", "least": {"percent": 1}}]}, r"expected a number"),
    ({"curation.checks": [{"check": "ssim", "most": {"percentile": 101}}]}, r"percentile: got 101, expected less than or equal to 100"),
    ({"curation.checks": [{"check": "ssim"}]},                       r"ssim has no limit and would pass everything"),
    ({"curation.checks": [{"check": "ssim", "least": 0.9, "most": 0.3}]}, r"least is 0\.9 and most is 0\.3, so nothing could pass"),
    ({"curation.checks": [{"check": "ssim", "most": 1}] * 2},        r"ssim stands there twice; give one a `name`"),
    ({"curation.checks": [{"check": "ssim", "name": "a b", "most": 1}]}, r"the name becomes a column"),
    ({"curation.checks": []},                                        r"has 0 entries, expected at least 1"),
    ({"curation.held_out": "test"},                                  r"got 'test', expected validation: .* test is never looked at"),
    ({"curation.held_out": 0.2},                                     r"got 0\.2, expected validation: generators have seen every"),
    ({"curation.second_encoder": "phantom-siglip"},                  r"copies are looked for with two that differ"),
    ({"curation.quota": {"c": {"1": 3}}},                            r"curation\.quota names c; expected a, b"),
    ({"curation.quota": {"a": {"7": 3}}},                            r"curation\.quota names 7; expected 1, 2, 3, 4, 5, 6"),
    ({"curation.quota": {"a": {"1": 0}}},                            r"expected counts ≥ 0 with a sum above 0"),
    ({"curation.cluster": 3},                                        r"curation\.cluster: unknown key; did you mean clusters\?"),
])
def test_what_cannot_be_is_told(load, override, message):
    with pytest.raises(StudyError, match=message):
        load(overrides=override)


def test_it_needs_images_to_choose_among(load):
    with pytest.raises(StudyError, match=r"curation chooses among the images of 05; add the section `generation`"):
        load("curation: {}\n")


def test_a_check_is_called_by_its_name_where_it_has_one():
    assert Check(check="realism", name="texture", least=1).title == "texture" and Check(check="tone", most=1).title == "tone"
