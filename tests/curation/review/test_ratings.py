"""Files of ratings: what a spreadsheet does to them is read, what is wrong is told in one sentence."""

from __future__ import annotations

import pytest

from lib.curation.review.errors import ReviewError
from lib.curation.review.ratings import read_ratings, review_of

RULED = {"scales": [{"name": "realism"}], "acceptance": None}


def test_a_file_of_the_page_is_read(make_key, save_ratings, tmp_path):
    key = make_key()
    ratings, notices = read_ratings([save_ratings(tmp_path / "a.csv", key, "anna", 6), save_ratings(tmp_path / "b.csv", key, "Bo", 2)], key)
    assert notices == [] and len(ratings) == 2 * len(key.items) and ratings["realism"].dtype == "Int64"
    assert ratings.groupby("rater")["realism"].unique().map(list).to_dict() == {"anna": [6], "Bo": [2]}


@pytest.mark.parametrize(("mark", "end", "start"), [(";", "\r\n", b"\xef\xbb\xbf"), ("\t", "\n", b""), (",", "\r", b"\n\n")])
def test_spreadsheets_may_have_rewritten_it(make_key, save_ratings, tmp_path, mark, end, start):
    key = make_key()
    path = save_ratings(tmp_path / "a.csv", key, '"anna"', '5.0' if mark == "," else "5,0" if mark == ";" else 5, mark=mark, end=end)
    path.write_bytes(start + path.read_bytes())
    ratings, notices = read_ratings([path], key)
    assert set(ratings["rater"]) == {"anna"} and set(ratings["realism"]) == {5} and notices == []


def test_what_is_missing_is_counted(make_key, save_ratings, tmp_path):
    key = make_key(scales=[{"name": "realism"}, {"name": "colour"}])
    path = save_ratings(tmp_path / "a.csv", key, "anna", 4)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:11], lines[11][:-1], lines[12][:-3] + ","]) + "\n\n")
    ratings, notices = read_ratings([path], key)
    assert len(ratings) == 11                   # the last line rates nothing
    assert notices == ["anna rated 11 of 20 pictures", "anna left 1 question unanswered"]


def wrong(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text.replace("anna", ""),                      r"a\.csv:2: no name of the rater"),
    (lambda text: text.replace("anna", "Simulated 1"),           r"a\.csv:2: Simulated 1 is no person"),
    (lambda text: wrong(text, ",5\r", ",8\r"),                   r"a\.csv:2: realism of item [0-9a-f]{12} is '8', expected .* from 1 to 7"),
    (lambda text: wrong(text, ",5\r", ",4.5\r"),                 r"'4\.5', expected a whole number"),
    (lambda text: wrong(text, ",5\r", ",good\r"),                r"'good', expected a whole number"),
    (lambda text: wrong(text, "realism", "reality"),             r"a\.csv: no column realism; the page asks for realism"),
    (lambda text: wrong(text, "rater", "name"),                  r"a\.csv: no column rater; give a file that the page saved"),
    (lambda text: wrong(text, "anna,", "anna,0"),                r"a\.csv:2: item 0[0-9a-f]{12} is not on the page 0123456789ab"),
    (lambda text: text + text.splitlines()[1],                   r"a\.csv:22: anna rated item [0-9a-f]{12} in line 2 already"),
    (lambda text: wrong(text, "0123456789ab", "ffffffffffff"),   r"a\.csv:2: a rating of the page ffffffffffff, others are of 01"),
    (lambda text: wrong(text, ",5\r", ",5,5\r"),                 r"a\.csv:2: has other columns than the first line"),
    (lambda text: wrong(text, "anna", '"anna'),                  r"a\.csv: is no readable CSV"),
    (lambda text: text.replace(",5\r", ",\r"),                   r"no picture is rated"),
    (lambda text: "",                                            r"a\.csv: no column review, rater, item"),
])
def test_one_sentence_says_what_is_wrong_and_where(make_key, save_ratings, tmp_path, change, message):
    key = make_key(**RULED)
    path = save_ratings(tmp_path / "a.csv", key, "anna", 5)
    path.write_bytes(change(path.read_bytes().decode()).encode())
    with pytest.raises(ReviewError, match=message) as caught:
        read_ratings([path], key)
    assert "\n" not in str(caught.value)


def test_a_rater_in_two_files_is_refused_whatever_the_case(make_key, save_ratings, tmp_path):
    key = make_key()
    paths = [save_ratings(tmp_path / "a.csv", key, "anna"), save_ratings(tmp_path / "b.csv", key, "Anna ")]
    with pytest.raises(ReviewError, match=r"Anna is in .*a\.csv and in .*b\.csv; give the newer alone"):
        read_ratings(paths, key)
    with pytest.raises(ReviewError, match="rated item"):
        paths[0].write_bytes(paths[0].read_bytes() + b"".join(paths[0].read_bytes().splitlines(keepends=True)[1:]))
        read_ratings(paths[:1], key)


def test_files_that_are_none(make_key, tmp_path):
    key = make_key()
    with pytest.raises(ReviewError, match=r"gone\.csv: cannot be read \(No such file"):
        read_ratings([tmp_path / "gone.csv"], key)
    (tmp_path / "x.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ReviewError, match="is not text in UTF-8"):
        review_of(tmp_path / "x.csv")
    (tmp_path / "two.csv").write_text("review,rater,item\na,anna,1\nb,anna,1\n")
    with pytest.raises(ReviewError, match="ratings of a, b; a file holds ratings of one page"):
        review_of(tmp_path / "two.csv")
