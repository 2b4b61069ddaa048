"""Sentences and tables: numbers as a reader expects them, and nothing from the data ever acts as markup."""

import re

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import example, given, settings
from hypothesis import strategies as st
from IPython.display import HTML, Markdown
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from lib.report.words import capital, count, estimate, join, literal, number, percent, say, signed, table

NASTY = '<script>alert("x")</script> a_b*c$ $x^2$ \\(y\\) **bold** [link](http://example.org) `code` ~~no~~ | # & &amp; <b>'


def seen(markdown: str) -> str:
    """What a reader sees of Markdown in the exported page."""
    return BeautifulSoup(markdown2html_mistune(markdown), "html.parser").get_text().strip()


def tags(markdown: str) -> set[str]:
    return {tag.name for tag in BeautifulSoup(markdown2html_mistune(markdown), "html.parser").find_all()}


def test_say_shows_data_as_text():
    shown = say(f"Class {NASTY} is rare.")
    assert isinstance(shown, Markdown)
    assert seen(shown.data) == f"Class {NASTY} is rare."
    assert tags(shown.data) <= {"p", "span"}
    assert "$" not in shown.data and "<script" not in shown.data


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=60))
@example("1. first")
@example("12) first")
@example("- a")
@example("    indented code")
@example("# title")
@example("www.example.org and a@b.org and https://example.org")
@example("a  \nb\n\nc\t|d|")
@example("&lt;b&gt; &#36; &dollar;")
@example("===")
@example("$a$ and $$b$$ \\begin{x} \\[z\\]")
@example("…http://www.x.y/?q=1")
def test_any_text_reads_as_written(text):
    wanted = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    assert " ".join(seen(literal(text)).split()) == wanted
    assert tags(literal(text)) <= {"p", "span"}
    in_list = say(text or "x", "second")
    assert "a" not in tags(in_list.data) and tags(in_list.data) <= {"ul", "li", "p", "span"}


def test_no_character_with_a_meaning_is_left_bare():
    """Also for renderers that were not at hand, e.g. JupyterLab's, which makes links of mail addresses."""
    bare = re.sub(r'</?span[^>]*>|&#[0-9]+;', "", literal("`*_{}[]#+-=!|~@:/^<>&\"$\\ www.x"))
    assert not set(bare) - set(" wx")


def test_dollars_stand_in_elements_of_their_own():
    assert literal("$x$").count('<span class="tex2jax_ignore">&#36;</span>') == 2        # MathJax pairs delimiters within one text only


def test_say_one_sentence_many_none():
    assert say("One.").data == "One."
    assert say(["One.", ["Two."]], "Three.").data == "* One.\n* Two.\n* Three."
    assert say().data == say([], "").data == ""


@pytest.mark.parametrize(("value", "text"), [
    (1234, "1,234"), (np.int64(-1234), "−1,234"), (0.87412, "0.874"), (1234.5, "1,234.500"), (float("nan"), "–"), (None, "–"), (pd.NA, "–"),
    (float("inf"), "∞"), (-0.0001, "0.000"), (-0.5, "−0.500"), (0, "0"),
])
def test_number(value, text):
    assert number(value) == text


def test_estimate_signed_percent_count_join():
    assert estimate(0.8741, 0.8512, 0.8961) == "0.874 (0.851–0.896)"
    assert estimate(-0.012, -0.03, 0.006) == "−0.012 (−0.030 to 0.006)"
    assert estimate(np.nan, np.nan, np.nan) == "not estimable"
    assert estimate(0.5, np.nan, 0.6) == "0.500"
    assert [signed(x) for x in (0.012, -0.012, 0.0001, 0)] == ["+0.012", "−0.012", "0.000", "0.000"]
    assert [percent(x) for x in (0, 0.004, 0.124, 0.996, 1, np.nan)] == ["0%", "under 1%", "12%", "over 99%", "100%", "–"]
    assert percent(0.1234, 1) == "12.3%" and percent(0.0001, 1) == "under 0.1%"
    assert [count(n, "class", "classes") for n in (0, 1, 1200)] == ["no classes", "1 class", "1,200 classes"]
    assert [join(x) for x in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert join("abcde", 2) == "a, b and 3 more" and join("abc", 2) == "a, b and c" and join("ab", last="or") == "a or b"
    assert capital("iPad") == "IPad" and capital("") == ""


def cells(shown: HTML) -> list[list[str]]:
    soup = BeautifulSoup(shown.data, "html.parser")
    return [[cell.get_text() for cell in row.find_all(["td", "th"])] for row in soup.find_all("tr")]


def test_table_formats_and_escapes():
    frame = pd.DataFrame({"class <b>": [NASTY, None], "n": pd.array([12345, None], dtype="Int64"), "f": [0.12345, np.nan],
                          "gap": [1.0, np.nan], "ok": [True, False]})
    before = frame.copy()
    shown = table(frame, caption="A $caption$", formats={"f": ".1f"})
    assert isinstance(shown, HTML)
    assert cells(shown) == [["class <b>", "n", "f", "gap", "ok"], [NASTY, "12,345", "0.1", "1", "yes"], ["–", "–", "–", "–", "no"]]
    assert "<script" not in shown.data and "$" not in shown.data
    pd.testing.assert_frame_equal(frame, before)


def test_table_index_limit_and_empty():
    frame = pd.DataFrame({"x": [-1.5, 2.25]}, index=pd.Index(["a", "b"], name="arm"))
    assert cells(table(frame)) == [["arm", "x"], ["a", "−1.500"], ["b", "2.250"]]
    assert cells(table(frame, rows=1))[-1] == ["… and 1 more"]
    assert cells(table(pd.DataFrame({"x": []}))) == [["x"]]
    assert cells(table(frame, formats={"x": lambda value: f"<{value}>"}))[1] == ["a", "<-1.5>"]
    two = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")]))
    assert cells(table(two))[0] == ["a · b"]
    with pytest.raises(ValueError, match=re.escape("formats names y, not among the columns (x)")):
        table(frame, formats={"y": ".1f"})
