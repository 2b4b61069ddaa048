"""Every kind of odd or broken CSV and YAML: it works with the right result, or one error names the file, the place and the fix."""

from __future__ import annotations

import gzip
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_study import STUDY

from lib.data.columns import read_csv
from lib.data.errors import DataError
from lib.data.intake import take_in
from lib.study import Groups, Labels, Source, StudyError, load_study

IMAGES = tuple(f"{n}.png" for n in range(6))
ROWS = tuple(f"{name},{'ab'[n % 2]}" for n, name in enumerate(IMAGES))
LABELS, GROUPS = Labels(classes={"a": ["a"], "b": ["b"]}), Groups(column="domain", values={"clinical": ["clinical"]})
EVIL = "<script>alert(1)</script>"


def lines(*changed: str, header: str = "file,label", end: str = "\n") -> str:
    """A table of the six images, its first rows replaced by `changed`."""
    return end.join([header, *changed, *ROWS[len(changed):]]) + end


def rows_of(header: str, *cells: str) -> str:
    """A table of the six images with one further column."""
    return "\n".join([f"file,label,{header}", *(f"{row},{cells[n % len(cells)]}" for n, row in enumerate(ROWS))]) + "\n"


@dataclass
class Table:
    """A CSV and what comes of it: an error, or so many used and the reasons of the others."""

    content: str | bytes
    error:   str | None            = None
    used:    int                   = 6
    reasons: tuple[str, ...]       = ()             # of what is refused or missing, in the order of the quarantine
    labels:  dict[str, list[str]] | None = None     # classes of the study, where not a and b
    columns: dict[str, str] | None = None
    facts:   dict[str, list] | None = None          # columns of intake.facts or intake.samples and their values
    exclude: tuple[str, ...]       = ()


CSVS = {
    # works
    "plain":                 Table(lines()),
    "BOM":                   Table(lines().encode("utf-8-sig")),
    "BOM inside":            Table(lines("\ufeff0.png,a")),
    "semicolons":            Table(lines().replace(",", ";")),
    "tabs":                  Table(lines().replace(",", "\t")),
    "CRLF":                  Table(lines(end="\r\n")),
    "CR only":               Table(lines(end="\r")),
    "mixed line ends":       Table("file,label\r\n0.png,a\n1.png,b\r2.png,a\r\n3.png,b\n\n4.png,a\n5.png,b"),
    "no last line end":      Table(lines().rstrip()),
    "blank lines":           Table("\n\n" + lines().replace("\n", "\n\n") + " \n,\n"),
    "everything quoted":     Table("\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in lines().splitlines())),
    "index column":          Table("\n".join([",file,label", *(f"{n},{row}" for n, row in enumerate(ROWS))]),
                                   facts={"column 1": list("012345")}),
    "nameless empty column": Table("\n".join(f"{line}," for line in lines().splitlines())),
    "cells beyond, empty":   Table(lines("0.png,a,,")),
    "other capitals":        Table(lines(header="File, LABEL ")),
    "spaces around cells":   Table(lines(" 0.png ,a ", "\u00a01.png, b\u00a0")),
    "quoted line break":     Table(rows_of("remark", '"first\nsecond"', '"a\r\nb"'), facts={"remark": ["first second", "a b"] * 3}),
    "doubled quotation marks": Table(rows_of("remark", '"5"" lesion"'), facts={"remark": ['5" lesion'] * 6}),
    "separator in a cell":   Table(rows_of("remark", '"one, two"'), facts={"remark": ["one, two"] * 6}),
    "a long cell":           Table(rows_of("remark", "x" * 100_000), facts={"remark": ["x" * 100_000] * 6}),
    "emoji":                 Table(rows_of("remark", "🩺"), facts={"remark": ["🩺"] * 6}),
    "HTML in a cell":        Table(rows_of("remark", EVIL), facts={"remark": [EVIL] * 6}),
    "terminal commands":     Table(rows_of("remark", "\x1b[31mred\x07"), facts={"remark": ["[31mred"] * 6}),
    "formula in a cell":     Table(rows_of("remark", "=cmd|' /C calc'!A0"), facts={"remark": ["=cmd|' /C calc'!A0"] * 6}),
    "HTML in a label":       Table(lines(f"0.png,{EVIL}"), labels={"a": ["a", EVIL], "b": ["b"]}),
    "formula as a label":    Table(lines("0.png,=1+1"), labels={"a": ["a", "=1+1"], "b": ["b"]}),
    "numbers as labels":     Table(lines(*(f"{name},{n % 2}" for n, name in enumerate(IMAGES))), labels={"a": ["0"], "b": ["1"]}),
    "types as text":         Table(rows_of("tone", "III", "3", "3.0", " vi", "-1", "unknown"), facts={"tone": [3, 3, 3, 6, None, None]}),
    "ages of all kinds":     Table(rows_of("age", "44", "-3", "1980-02-01", "45 years", "", "nan"), facts={"age": [44] + [None] * 5}),
    "numbers as text":       Table(rows_of("age", '"44"', "44.5"), facts={"age": [44, 44.5] * 3}),
    "decimal comma":         Table(rows_of("age", '"44,5"'), used=6),
    "zeros before a number": Table(rows_of("patient_id", "007", "7"), facts={"patient_id": ["image_folder/007", "image_folder/7"] * 3}),
    "long numbers":          Table(rows_of("patient_id", "12345678901234567890"),
                                   facts={"patient_id": ["image_folder/12345678901234567890"] * 6}),
    "columns in disorder":   Table("\n".join(",".join(reversed(line.split(","))) for line in lines().splitlines())),
    "backslashes":           Table(lines(".\\0.png,a", ".\\1.png,b")),
    "other extension":       Table(lines("0.JPG,a", "1,b")),
    "excluded label":        Table(lines("0.png,c"), used=5, reasons=("diagnosis c is in labels.exclude",), exclude=("c",)),

    # works, and says what is not used
    "no label":              Table(lines("0.png,"), used=5, reasons=("has no diagnosis",)),
    "label of spaces":       Table(lines("0.png, \t\u00a0"), used=5, reasons=("has no diagnosis",)),
    "no file":               Table(lines(",a"), used=5, reasons=("^the row names no file$",)),
    "file not there":        Table(lines("99.png,a"), used=5, reasons=("no such file in",)),
    "file twice":            Table(lines() + "0.png,a\n", reasons=("image_id 0.png stands in an earlier row, too",)),
    "id twice":              Table(rows_of("image_id", "p", "q", "r", "p", "s", "t"), used=4,
                                   reasons=("^image_id p is listed with a and with b",) * 2),
    "absolute path":         Table(lines("/etc/passwd,a"), used=5, reasons=("'/etc/passwd' is an absolute path",)),
    "path with ..":          Table(lines("x/../../0.png,a"), used=5, reasons=(r"leads out of the data folder \('..'\)",)),
    "Windows drive":         Table(lines("C:\\0.png,a"), used=5, reasons=("is an absolute path",)),
    "Windows share":         Table(lines("\\\\server\\x\\0.png,a"), used=5, reasons=("is an absolute path",)),
    "web address":           Table(lines("https://x.org/0.png,a"), used=5, reasons=("is a web address; fetch the file",)),
    "file address":          Table(lines("file:///etc/passwd,a"), used=5, reasons=("is a web address",)),
    "home folder":           Table(lines("~/0.png,a"), used=5, reasons=("no such file in",)),
    "HTML as path":          Table(lines(f"{EVIL},a"), used=5, reasons=("no such file in",)),
    "folder as path":        Table(lines("sub,a"), used=5, reasons=("no such file in",)),
    "the table as path":     Table(lines("list.csv,a"), used=5, reasons=("no such file in",)),
    "path out as mask":      Table(rows_of("mask", "../m.png", "", "", "", "", ""), used=5, reasons=("mask: '../m.png' leads out",)),

    # does not work, and says where and why
    "empty file":            Table(b"", "list.csv: the file is empty"),
    "only a BOM":            Table(b"\xef\xbb\xbf", "list.csv: the file is empty"),
    "only line ends":        Table("\n\r\n\n", "list.csv: the file is empty"),
    "header only":           Table("file,label\n", "list.csv: has a header and no rows"),
    "no header":             Table("\n".join(ROWS), "list.csv: no column for file; looked for .* the file has 0.png, a"),
    "missing column":        Table(lines(header="file,what"), "list.csv: no column for diagnosis; looked for .*the file has file, what"),
    "named column missing":  Table(lines(), "`columns` names tone: skin, the file has file, label", columns={"tone": "skin"}),
    "column twice":          Table(rows_of("label", "x"), "list.csv: the header has the column 'label' twice"),
    "column twice but for spaces": Table(rows_of("note, note", "x,y"), "list.csv: the header has the column 'note' twice"),
    "header twice":          Table(lines() + lines(), "list.csv: line 8 repeats the header"),
    "too many cells":        Table(lines("0.png,a", "1.png,b,c"), "list.csv: line 3 has 3 cells, the header names 2"),
    "too few cells":         Table(lines("0.png,a", "1.png,b", "2.png"), "list.csv: line 4 has 1 cell, the header names 2"),
    "cut short":             Table(lines()[:-7], "list.csv: line 7 has 1 cell,"),
    "comment line":          Table("# exported today\n" + lines(), r"list.csv: line 2 has 2 cells, the header names 1"),
    "comment in the middle": Table(lines("0.png,a", "# checked by me"), "list.csv: line 3 has 1 cell,"),
    "two separators":        Table(lines("0.png;a"), "list.csv: line 2 has 1 cell,"),
    "bars":                  Table(lines().replace(",", "|"), r"none of the separators that are read \(comma, semicolon, tab\)"),
    "quotation mark not closed": Table(lines("0.png,a", '1.png,"b'), "list.csv: line 3: a quotation mark opens here and none closes it"),
    "quotation mark inside": Table(lines('0.png,"a"b'),
                                   "list.csv: line 2: not a readable CSV .*write a quotation mark inside a cell twice"),
    "a cell without end":    Table(lines('0.png,"a' + "x" * 200_000), "list.csv: line 2: a cell of more than 131,072 characters"),
    "NUL":                   Table(lines("0.png,a\0"), r"list.csv: a NUL byte, which no text has \(byte 18, line 2\)"),
    "UTF-16":                Table(lines().encode("utf-16"), "list.csv: not UTF-8 text but UTF-16; save the table as UTF-8"),
    "UTF-16 without mark":   Table(lines().encode("utf-16-le"), "list.csv: a NUL byte"),
    "Latin-1":               Table(lines("0.png,größe").encode("latin-1"),
                                   r"list.csv: not UTF-8 text \(byte 19, line 2\); save the table as"),
    "gzip":                  Table(gzip.compress(lines().encode()), "list.csv: is a gzip archive, not a CSV"),
    "Parquet":               Table(b"PAR1" + bytes(50) + b"PAR1", "list.csv: is a Parquet table, not a CSV"),
    "workbook":              Table(b"PK\3\4" + bytes(50), "list.csv: is a zip archive or an Office document, not a CSV"),
    "picture":               Table(b"\x89PNG\r\n\x1a\n" + bytes(50), "list.csv: is a PNG picture, not a CSV"),
    "web page":              Table("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "list.csv: is a web page"),
    "unknown label":         Table(lines("0.png,c"), r"labels: 1 value of diagnosis no class names: c \(1\)"),
    "NaN label":             Table(lines("0.png,NaN", "1.png,None"),
                                   r"labels: 2 values of diagnosis no class names: NaN \(1\), None \(1\)"),
    "label in capitals":     Table(lines("0.png,A"), r"no class names: A \(1\)"),
    "fraction as label":     Table(lines(*(f"{name},{n % 2}.0" for n, name in enumerate(IMAGES))),
                                   r"no class names: 0\.0 \(3\), 1\.0 \(3\)",
                                   labels={"a": ["0"], "b": ["1"]}),
    "HTML as unknown label": Table(lines(f"0.png,{EVIL}"), "no class names: <script>"),
    "one class only":        Table(lines(*(f"{name},a" for name in IMAGES)), "class 'b' has no image: no row has diagnosis 'b'"),
    "type 7":                Table(rows_of("tone", "3", "7"),
                                   r"list.csv: skin tone 7 is not understood; .*\(first: row 2 under the header\)"),
    "type 2-3":              Table(rows_of("tone", "2-3"), "list.csv: skin tone 2-3 is not understood"),
    "type 3.5":              Table(rows_of("tone", "3.5"), "list.csv: skin tone 3.5 is not understood"),
    "nothing there":         Table("file,label\nx.png,a\ny.png,b\n", "none of the 2 listed images is under"),
    "all paths lead out":    Table("file,label\n../x.png,a\n/y.png,b\n", "class 'a' has no image|no image"),
}


def changed(old: str, new: str) -> str:
    assert old in STUDY
    return STUDY.replace(old, new)


def with_class(key: str = "a", values: str = "[x]") -> str:
    return changed("    a: [x]", f"    {key}: {values}")


# A study file and what comes of it: the error, or what the study says (dotted key → value).
YAMLS = {
    "plain":                (STUDY, {"title": "A tiny study"}),
    "BOM":                  ("\ufeff" + STUDY, {"name": "tiny"}),
    "CRLF":                 (STUDY.replace("\n", "\r\n"), {"labels.classes.b": ["y", "z"]}),
    "end of document":      ("---\n" + STUDY + "...\n", {"name": "tiny"}),
    "merge key":            (STUDY + "split:\n  <<: {train: 0.6}\n  validation: 0.2\n  test: 0.2\n", {"split.train": 0.6}),
    "anchor used twice":    (with_class("a", "&a [x]") + "  exclude: [q]\nclassifier: {seeds: &s [1, 2]}\n", {"classifier.seeds": [1, 2]}),
    "number without a dot": (STUDY + "classifier: {learning_rate: 1e-3}\n", {"classifier.learning_rate": 0.001}),
    "quoted words":         (with_class("'no'", "['yes', '010', '1.0', '2020-01-01', 'null']"),
                             {"labels.classes.no": ["yes", "010", "1.0", "2020-01-01", "null"]}),
    "HTML in the title":    (changed("A tiny study", EVIL), {"title": EVIL}),
    "Jinja in the title":   (changed("A tiny study", "'{{ 7*7 }}'"), {"title": "{{ 7*7 }}"}),
    "emoji":                (changed("A tiny study", "🩺 größe"), {"title": "🩺 größe"}),
    "tabs":                 (changed("  classes:", "\tclasses:"), r"s\.yaml:8  not valid YAML: found character '\\t'"),
    "wrong indent":         (changed("    b:", "   b:"), r"s\.yaml:10  not valid YAML"),
    "colon in the title":   (changed("A tiny study", "Skin: types"), r"s\.yaml:2  not valid YAML"),
    "two documents":        (STUDY + "---\nname: b\n", r"s\.yaml:11  not valid YAML: but found another document"),
    "bracket not closed":   (STUDY + "split: {train: 0.6\n", r"s\.yaml:\d+  not valid YAML"),
    "quotation mark not closed": (changed("A tiny study", '"A tiny'), r"s\.yaml:\d+  not valid YAML"),
    "billions of laughs":   (STUDY + "split: &a0 [x]\n" + "".join(f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)),
                             r"s\.yaml: unfolds to more than 100,000 values"),
    "very deep":            (STUDY + f"split: {'[' * 3_000}{']' * 3_000}\n", r"s\.yaml: brackets or lists inside one another too deep"),
    "number without end":   (STUDY + f"classifier: {{epochs: {'9' * 5_000}}}\n", r"s\.yaml  a value cannot be read \(Exceeds the limit"),
    "no such day":          (with_class("a", "[2020-13-45]"),
                             r"s\.yaml  a value cannot be read \(month must be in 1\.\.12\); put it in quotes"),
    "NUL":                  (changed("tiny study", "ti\0ny"), r"s\.yaml:2  not valid YAML: the character 0x0000 is not allowed"),
    "bell":                 (changed("tiny study", "ti\x07ny"), r"s\.yaml:2  not valid YAML: the character 0x0007 is not allowed"),
    "no, and what helps":   (with_class("a", "[no]"),
                             r"got false, expected string; YAML reads it as another kind of value, so put it in quotes"),
    "no such anchor":       (STUDY + "split: *nope\n", r"s\.yaml:11  not valid YAML: found undefined alias"),
    "anchor twice":         (STUDY + "split: &a {train: 0.7}\nclassifier: &a {epochs: 3}\n",
                             r"s\.yaml:12  not valid YAML: second occurrence"),
    "list as key":          (STUDY + "? [a, b]\n: 1\n", r"s\.yaml:11  not valid YAML: found unhashable key"),
    "merge of a word":      (STUDY + "split:\n  <<: nonsense\n", r"s\.yaml:12  not valid YAML: expected a mapping"),
    "merged key unknown":   (STUDY + "split: &s {train: 0.6, validation: 0.2, test: 0.2}\nclassifier:\n  <<: *s\n",
                             r"s\.yaml:12  classifier\.train: unknown key"),
    "call of a function":   (STUDY + "question: !!python/object/apply:os.system ['exit 1']\n",
                             r"s\.yaml:11  not valid YAML: could not determine"),
    "name of a function":   (STUDY + "question: !!python/name:os.system\n", r"s\.yaml:11  not valid YAML: could not determine"),
    "unknown tag":          (STUDY + "split: !foo {train: 1}\n", r"s\.yaml:11  not valid YAML: could not determine .*'!foo'"),
    "only a comment":       ("# nothing here\n", r"s\.yaml: expected keys and values, found nothing"),
    "a word":               ("hello\n", r"s\.yaml: expected keys and values, found str"),
    "gzip":                 (gzip.compress(STUDY.encode()), r"s\.yaml: not UTF-8 text"),
    "UTF-16":               (STUDY.encode("utf-16"), r"s\.yaml: not UTF-8 text \(byte 0\); save the file as UTF-8"),
    "bytes":                (b"\x89PNG\r\n\x1a\n", r"s\.yaml: not UTF-8 text"),
    "no as a value":        (with_class("a", "[no]"), r"s\.yaml:9  labels\.classes\.a\.0: got false, expected string"),
    "no as a class":        (with_class("no"), r"s\.yaml:8  labels\.classes\.\[key\]: got false, expected string"),
    "on as a column":       (STUDY + "groups: {column: on}\n", r"s\.yaml:11  groups\.column: got true, expected string"),
    "octal as a value":     (with_class("a", "[010]"), r"s\.yaml:9  labels\.classes\.a\.0: got 8, expected string"),
    "number as a class":    (with_class("1"), r"s\.yaml:9  labels\.classes\.1\.\[key\]: got 1, expected string"),
    "fraction as a value":  (with_class("a", "[1.0]"), r"labels\.classes\.a\.0: got 1\.0, expected string"),
    "date as a value":      (with_class("a", "[2020-01-01]"), r'labels\.classes\.a\.0: got "2020-01-01", expected string'),
    "time as a value":      (with_class("a", "[1:30]"), r"labels\.classes\.a\.0: got 90, expected string"),
    "null as a value":      (with_class("a", "[null]"), r"labels\.classes\.a\.0: got null, expected string"),
    "null as a class":      (with_class("~"), r"s\.yaml:8  labels\.classes\.None\.\[key\]: got null, expected string"),
    "NaN as a value":       (with_class("a", "[.nan]"), r"labels\.classes\.a\.0: got NaN, expected string"),
    "word for a list":      (with_class("a", "x"), r'labels\.classes\.a: got "x", expected list'),
    "list for keys":        (changed("  classes:\n    a: [x]\n    b: [y, z]\n", "  classes: [a, b]\n"),
                             r"s\.yaml:8  labels\.classes: got .*expected dictionary"),
    "keys for a list":      (changed("    - dataset", "      dataset"), r"s\.yaml:4  data\.sources: got .*expected list"),
    "no classes":           (changed("    a: [x]\n    b: [y, z]\n", ""), r"s\.yaml:8  labels\.classes: got null, expected dictionary"),
    "no sources":           (changed("    - dataset: phantom\n      phantom: {patients: 5}\n", ""), r"s\.yaml:4  data\.sources: got null"),
    "key twice in another spelling": (changed("    b:", "    'a':"), r"s\.yaml:10  a: written twice"),
    "NaN":                  (STUDY + "classifier: {learning_rate: .nan}\n",
                             r"s\.yaml:11  classifier\.learning_rate: got NaN, expected a finite number"),
    "minus infinite":       (STUDY + "classifier: {learning_rate: -.inf}\n", r"s\.yaml:11  classifier\.learning_rate: got -Infinity"),
    "decimal comma":        (STUDY + "classifier: {learning_rate: 0,001}\n",
                             r"s\.yaml:11  classifier\.learning_rate: got 0, expected greater"),
    "fraction for a count": (STUDY + "classifier: {epochs: 2.5}\n", r"s\.yaml:11  classifier\.epochs: got 2\.5, expected integer"),
    "number as the title":  (changed("A tiny study", "2020"), r"s\.yaml:2  title: got 2020, expected string"),
    "HTML as the name":     (changed("name: tiny", "name: <b>"), r's\.yaml:1  name: got "<b>"'),
    "extends out of bounds": (STUDY + "extends: ../../nowhere.yaml\n", r"s\.yaml:11  extends: no file \.\./\.\./nowhere\.yaml"),
    "extends a folder":     (STUDY + "extends: .\n", r"s\.yaml:11  extends: no file \. beside"),
    "extends a list":       (STUDY + "extends: [a.yaml, b.yaml]\n", r"s\.yaml:11  extends: no file"),
    "extends a binary":     (STUDY + "extends: picture.png\n", r"picture\.png: not UTF-8 text"),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six noisy pictures and an empty folder."""
    rng = np.random.default_rng(0)
    for name in IMAGES:
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "sub").mkdir()
    return tmp_path


def bring(folder: Path, table: Table = CSVS["plain"], **options):
    source = Source(dataset="image_folder", domain="clinical", table="list.csv", columns=table.columns or {}, max_quarantined=1, **options)
    labels = Labels(classes=table.labels or LABELS.classes, exclude=list(table.exclude))
    return take_in([source], labels, GROUPS, {"image_folder": folder})


def one_line(error: Exception) -> str:
    message = str(error)
    assert message.isprintable() and "Traceback" not in message and len(message) < 2_000
    return message


@pytest.mark.parametrize("name", CSVS)
def test_every_kind_of_csv(name, folder):
    table = CSVS[name]
    content = table.content.encode() if isinstance(table.content, str) else table.content
    (folder / "list.csv").write_bytes(content)
    if table.error:
        with pytest.raises(DataError, match=table.error) as caught:
            bring(folder, table)
        one_line(caught.value)
        return
    intake = bring(folder, table)
    account, = intake.account.to_dict("records")
    assert account["used"] == len(intake.samples) == table.used
    assert account["listed"] == table.used + len(intake.quarantine)
    assert len(intake.quarantine) == account["missing"] + account["excluded"] + account["refused"]
    reasons = intake.quarantine["reason"].tolist()
    assert len(reasons) == len(table.reasons)
    for found, expected in zip(reasons, table.reasons, strict=True):
        assert re.search(expected, found) and found.isprintable()
    for column, values in (table.facts or {}).items():
        found = (intake.facts if column in intake.facts else intake.samples)[column]
        assert found.astype(object).where(found.notna(), None).tolist() == values


@pytest.mark.parametrize("name", YAMLS)
def test_every_kind_of_yaml(name, tmp_path):
    content, expected = YAMLS[name]
    path = tmp_path / "s.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    Image.new("RGB", (9, 9)).save(tmp_path / "picture.png")
    if isinstance(expected, str):
        with pytest.raises(StudyError, match=expected) as caught:
            load_study(path)
        for line in str(caught.value).splitlines():
            assert line.isprintable() and len(line) < 1_000
        return
    values = load_study(path).as_dict()
    for key, value in expected.items():
        found = values
        for part in key.split("."):
            found = found[part]
        assert found == value


@pytest.mark.parametrize("name", ["no permission", "a folder", "a pipe", "gone"])
def test_a_table_that_is_no_file(name, folder, monkeypatch):
    path = folder / "list.csv"
    if name == "no permission":
        path.write_text(lines())
        monkeypatch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        with pytest.raises(DataError, match=r"list\.csv: cannot be read \(Permission denied\)"):
            bring(folder)
        return
    {"a folder": path.mkdir, "a pipe": lambda: os.mkfifo(path), "gone": lambda: None}[name]()
    with pytest.raises(DataError, match=r"no table list\.csv in .*`table` names a CSV inside the folder"):
        bring(folder)


def test_a_large_table_is_read_cell_by_cell_as_pandas_reads_it(tmp_path):
    rng = np.random.default_rng(1)
    words = np.array(["x", "nevus", "", "NA", "3.0", "a, b", 'say "so"', "größe", "007"])
    table = pd.DataFrame({f"c{i}": words[rng.integers(0, len(words), 500)] for i in range(6)} | {"id": [f"p{i}" for i in range(500)]})
    table.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv"), table.astype("str"))


def test_there_are_enough_kinds():
    assert sum(table.error is not None or bool(table.reasons) for table in CSVS.values()) >= 30 and len(YAMLS) >= 30
