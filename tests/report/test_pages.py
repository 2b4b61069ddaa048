"""Pages: self-contained, escaped, and with links that lead somewhere."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.report.gallery import gallery
from lib.report.headline import describe_scales, headline_record, headline_table, measures_table
from lib.report.page import notebook_page
from lib.report.progress import bar

EVIL = "<script>alert(1)</script>"


def test_a_notebook_page_loads_nothing_and_links_back(tmp_path):
    cell = nbformat.v4.new_code_cell("1 + 1", outputs=[nbformat.v4.new_output("execute_result", {"text/plain": EVIL})])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A question?"), cell])
    path = tmp_path / "01_eda.ipynb"
    nbformat.write(notebook, path)
    page = notebook_page(path, title=EVIL, index="../index.html").read_text(encoding="utf-8")
    assert 'href="../index.html"' in page and "A question?" in page and "1 + 1" in re.sub("<[^>]*>", "", page)
    assert "<script" not in page.lower() and not re.search(r"""(src|href)=["']?(https?:)?//""", page)


def test_progress_bars_leave_no_trace_and_warnings_stay(tmp_path):
    def stream(text, name="stderr"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    outputs = [stream("\rwork: 10%"), stream("\rwork: 99%\r         \r"), stream("kept by print", "stdout"),
               stream("\rbar\rUserWarning: look\n"),
               nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "bar"})]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])
    nbformat.write(notebook, tmp_path / "n.ipynb")
    page = notebook_page(tmp_path / "n.ipynb", title="t", index="i").read_text(encoding="utf-8")
    assert "work:" not in page and "kept by print" in page and "UserWarning: look" in page and "<script" not in page


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of two classes, one of them without a group, with hostile names."""
    rows = []
    for n, (label, group) in enumerate([("a", "I–II"), ("a", "V–VI"), ("b", None)]):
        name = f"x&y #{n}'.png"
        Image.fromarray(np.full((20, 30, 3), 40 * n, np.uint8)).save(tmp_path / name)
        rows.append({"image_id": f'{n}"{EVIL}', "dataset": "d", "path": name, "label": label, "group": group})
    return pd.DataFrame(rows), {"d": tmp_path}


def test_gallery_links_to_the_originals_and_counts_its_cells(pictures, tmp_path):
    samples, roots = pictures
    html = gallery(samples, roots, tmp_path / "page", labels=["a", "b", "c"], groups=["I–II", "V–VI"]).data
    assert html.count("<img") == 3 and html.count("none") == 6 and html.count("n = 1") == 3
    assert "unknown" in html and "<script" not in html
    for link in re.findall('href="([^"]*)"', html):
        from urllib.parse import unquote
        assert (tmp_path / "page" / unquote(link)).resolve().is_file() or (tmp_path / unquote(link).removeprefix("../")).is_file()


def test_gallery_shows_the_same_pictures_each_time(pictures, tmp_path):
    samples, roots = pictures
    both = [gallery(samples, roots, tmp_path, labels=["a", "b"], groups=["I–II", "V–VI"], per_cell=1, seed=3).data for _ in range(2)]
    assert both[0] == both[1]


def test_headline_has_a_row_per_arm_and_says_what_is_not_estimable():
    values = [("real", "all", 0.8), ("real", "V–VI", np.nan), ("classical", "all", 0.9), ("classical", "V–VI", 0.7)]
    rows = [{"arm": arm, "architecture": "small_cnn", "metric": "auroc", "group": group, "note": "", "seeds": 3,
             "value": value, "low": value - 0.1, "high": value + 0.1, "n_images": 9, "n_clusters": 9, "n_positives": 9}
            for arm, group, value in values]
    table = headline_table(pd.DataFrame(rows), metric="auroc", arms=["real", "classical"])
    assert table.to_numpy().tolist() == [["real", "0.800 (0.700–0.900)", "not estimable"],
                                         ["classical", "0.900 (0.800–1.000)", "0.700 (0.600–0.800)"]]
    both = measures_table(pd.DataFrame(rows), metrics=["auroc"], arms=["classical"])
    assert both.to_numpy().tolist() == [["AUROC (mean over classes)", "classical", "0.900 (0.800–1.000)", "0.700 (0.600–0.800)"]]
    assert headline_record(table, metric="auroc", confidence=0.95, resamples=2_000)["interval"].startswith("95 %")


def test_bar_takes_counts_and_shares(capsys):
    advance = bar("work")
    for done in (1, 2, 3):
        advance(done, 3)
    advance(1, 3)                                       # a second round, which is cut short
    advance(1, 2)                                       # and a third
    advance(2, 2)
    share = bar("share", "%")
    share(0.5)
    share(1.0)
    shown = capsys.readouterr().err
    assert shown.count("0/3") == 2 and shown.count("0/2") == 1 and "0/100" in shown
    assert shown.rsplit("\r", 1)[-1] == "" and "\x1b" not in shown        # every bar is gone, none was stacked on another


def test_the_scale_of_the_partial_auroc_follows_from_the_study():
    assert describe_scales(["auroc", "partial_auroc"], minimum_sensitivity=0.8) == [
        "The partial AUROC at high sensitivity counts only thresholds that find at least 80% of the positives: it runs from 0 to 0.20, and "
        "guessing gets 0.020."]
    assert "at least 90% of the positives: it runs from 0 to 0.10, and guessing gets 0.005" in describe_scales(
        ["partial_auroc"], minimum_sensitivity=0.9)[0]
    assert describe_scales(["auroc"], minimum_sensitivity=0.8) == []
