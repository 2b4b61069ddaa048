"""The report of a whole study: self-contained, everything escaped, its PDF or the reason for none; final_results.json beside it."""

import base64
import json
import math
import os
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from lib.report.final import final_results, plain
from lib.report.study_report import Block, Part, Picture, print_page, write_report
from lib.study import Primary

NASTY = "<script>alert(1)</script> & $x$ \"quoted\""
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


class Links(HTMLParser):
    """Every address that a page names, its ids, its elements and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.addresses, self.ids, self.tags, self.texts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        found = dict(attributes)
        self.addresses += [found[name] for name in ("src", "href") if found.get(name)]
        self.ids += [found["id"]] if "id" in found else []

    def handle_data(self, data):
        self.texts.append(data)


def written(folder, name="report.html"):
    picture = folder / "figure.png"
    picture.write_bytes(PNG)
    blocks = [
        Block("One", [NASTY], {NASTY: pd.DataFrame({NASTY: [NASTY]})}, [Picture(picture, NASTY, 300)]),
        Block("", ["first", "second"], pictures=[Picture(folder / "gone.png", "Gone", 300)]),
    ]
    return write_report(
        folder / name, title=NASTY, question=NASTY, verdicts=[{"kind": "cannot tell", "sentence": NASTY}], conclusion=NASTY,
        parts=[Part(NASTY, "01_eda", blocks), Part("Second?", "02", [Block("x", ["y"])])], facts={"commit": NASTY},
    )


@pytest.fixture
def page(tmp_path):
    return written(tmp_path)


def test_it_loads_nothing_and_holds_its_pictures(page):
    found = Links(page.read_text(encoding="utf-8"))
    outside = [address for address in found.addresses if not address.startswith(("#", "data:image/png;base64,"))]
    assert outside == [] and "script" not in found.tags and "link" not in found.tags
    (picture,) = [address for address in found.addresses if address.startswith("data:")]
    assert base64.b64decode(picture.partition(",")[2]) == PNG
    assert not re.search(r"url\(|@import", page.read_text(encoding="utf-8"))


def test_the_contents_lead_to_every_part(page):
    found = Links(page.read_text(encoding="utf-8"))
    targets = [address[1:] for address in found.addresses if address.startswith("#")]
    assert targets == ["part-1", "part-2", "facts"] and set(targets) <= set(found.ids) and len(set(found.ids)) == len(found.ids)


def test_every_text_is_shown_as_written(page):
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text and "class=\"verdict cannot-tell\"" in text
    shown = " ".join("".join(Links(text).texts).split())
    assert shown.count(NASTY) >= 8
    assert "The file of this picture is missing: gone.png" in shown


def test_it_is_the_same_when_written_again(page, tmp_path):
    assert written(tmp_path, "again.html").read_bytes() == page.read_bytes()


def _browser(folder, script: str):
    """A program that stands for a browser: `script` runs with $pdf as the file that it was told to print to."""
    path = folder / "browser"
    find = 'for one in "$@"; do case "$one" in --print-to-pdf=*) pdf="${one#--print-to-pdf=}";; esac; page="$one"; done\n'
    path.write_text(f"#!/bin/sh\n{find}{script}\n")
    path.chmod(0o755)
    return str(path)


def test_printing_and_the_reasons_for_none(page, tmp_path, monkeypatch):
    pdf = tmp_path / "report.pdf"
    printing = _browser(tmp_path, 'printf "%%PDF of %s" "$page" > "$pdf"')
    assert print_page(page, pdf, browser=printing) == "" and pdf.read_text() == f"%PDF of {page.as_uri()}"
    assert print_page(page, pdf, browser=_browser(tmp_path, "exit 3")).startswith("No PDF: browser ended with 3 and printed nothing.")
    assert not pdf.exists()                                                                  # an older one would not be of this page
    pdf.write_bytes(b"old")
    assert "does not ask for one" in print_page(page, pdf, wanted=False, browser=printing) and not pdf.exists()
    assert print_page(page, pdf, browser=str(tmp_path / "none")).startswith("No PDF: none did not print the page (FileNotFoundError)")
    monkeypatch.setenv("PATH", os.fspath(tmp_path / "empty"))
    assert print_page(page, pdf).startswith("No PDF: no browser was found")


PRIMARY = Primary(metric="auroc", arm="classical", baseline="real")


def results(**tables):
    return final_results(study={"name": "demo"}, primaries=[PRIMARY], sha256="ab", lists=2, verdicts=[], conclusion="So.",
                         headline={"rows": []}, tables=tables, provenance={"commit": "c"})


def test_final_results_hold_everything_as_plain_json():
    frame = pd.DataFrame({"arm": ["a", None], "value": [1.5, math.nan], "n": pd.array([1, None], dtype="Int64"), "odd": [np.inf, -np.inf],
                          "own": np.array([True, False])})
    found = json.loads(json.dumps(results(fairness=frame), allow_nan=False))
    assert found["fairness"] == [{"arm": "a", "value": 1.5, "n": 1, "odd": "inf", "own": True},
                                 {"arm": None, "value": None, "n": None, "odd": "-inf", "own": False}]
    assert set(found["legend"]) == {"null", "inf", "-inf"}
    assert found["declared"] == {"sha256": "ab", "lists": 2, "comparisons": [PRIMARY.model_dump(mode="json")]}
    assert found["conclusion"] == "So." and found["provenance"] == {"commit": "c"} and found["study"] == {"name": "demo"}


def test_what_json_cannot_hold_and_names_that_are_taken():
    with pytest.raises(TypeError, match="set has no place in JSON"):
        plain({"a": {1, 2}})
    with pytest.raises(ValueError, match="a table is called 'declared'"):
        results(declared=pd.DataFrame())
