"""README figures come from saved results."""

from __future__ import annotations

import re

import pytest

from lib.files import write_json
from lib.study import ROOT
from lib.workflow.readme import main, put, results_block
from lib.workflow.stages import STAGES


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Results of a study called toy."""
    monkeypatch.setenv("OUTPUTS_ROOT", str(tmp_path))
    headline = {"caption": "AUROC", "interval": "95 %", "columns": ["arm", "a|b"], "rows": [["<b>real", "0.8"]]}
    verdicts = [{"sentence": "Cannot tell."}, {"sentence": "Worse."}]
    write_json(tmp_path / "toy" / "09_statistics" / "metrics.json", {"verdicts": verdicts, "headline": headline})
    write_json(tmp_path / "toy" / "09_statistics" / "provenance.json", {"commit": "abc", "device": "CPU"})
    return tmp_path


def test_block_holds_the_saved_figures(outputs):
    block = results_block("toy")
    assert "> Cannot tell.\n>\n> Worse." in block and "| &lt;b>real | 0.8 |" in block and "abc" in block


def test_a_stage_of_a_study_has_an_answer_of_its_own(outputs, tmp_path):
    tables = [{"caption": name, "interval": "", "columns": ["x"], "rows": [[name]]} for name in ("Rates", "Curve")]
    write_json(outputs / "toy" / "08_ablations" / "metrics.json", {"answer": {"findings": ["Agrees."], "headlines": tables}})
    write_json(outputs / "toy" / "08_ablations" / "provenance.json", {"commit": "abc", "device": "CPU"})
    block = results_block("toy/08_ablations")
    assert block.startswith("> Agrees.\n\nRates:") and "| Curve |" in block and "outputs/toy/08_ablations/metrics.json" in block
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:toy -->\nold\n<!-- end -->\n<!-- results:toy/08_ablations -->\nold\n<!-- end -->\n")
    assert main(["toy", "toy/08_ablations"], readme) == 0
    assert "old" not in readme.read_text() and readme.read_text().count("Cannot tell.") == 1
    with pytest.raises(ValueError, match="name the study alone"):
        results_block("toy/09_statistics")


def test_put_replaces_and_can_be_repeated(outputs, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results:toy -->\nold\n<!-- end -->\nafter\n")
    assert main(["toy"], readme) == 0
    once = readme.read_text()
    assert "old" not in once and once.startswith("before\n") and once.endswith("<!-- end -->\nafter\n")
    assert main(["toy"], readme) == 0 and readme.read_text() == once


def test_missing_results_and_places_are_told(outputs, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("nothing")
    assert main(["none"], readme) == 1 and "run it first" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no place for toy"):
        put("nothing", "toy", "block")


def test_readme_is_true_about_the_stages():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, stage in STAGES.items():
        assert f"| `{name}` | {stage.question} |" in text
    for path in re.findall(r"\]\((lib/[^)]*)\)", text):
        assert (ROOT / path).is_file(), path
