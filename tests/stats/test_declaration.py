"""The hash of what was declared: the same everywhere, another for every change."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from lib.stats.declaration import add_declaration, declaration_hash, declaration_text
from lib.study import ROOT, Primary

ONE = Primary(metric="auroc", group="V–VI", arm="oversampled", baseline="real", margin=0.02)
TEXT = '[{"arm":"oversampled","baseline":"real","group":"V–VI","margin":0.02,"metric":"auroc"}]'


def test_it_is_the_sha256_of_a_text_that_anybody_can_write():
    assert declaration_text([ONE]) == TEXT
    assert declaration_hash([ONE]) == hashlib.sha256(TEXT.encode()).hexdigest()


def test_another_process_finds_the_same():
    code = ("from lib.stats.declaration import declaration_hash; from lib.study import Primary; "
            "print(declaration_hash([Primary(group='V–VI', arm='oversampled')]))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)})
    assert done.stdout.strip() == declaration_hash([ONE])


@pytest.mark.parametrize("change", [
    {"metric": "brier"}, {"group": None}, {"arm": "classical"}, {"baseline": "classical"}, {"margin": 0.03},
])
def test_every_change_changes_it(change):
    assert declaration_hash([ONE.model_copy(update=change)]) != declaration_hash([ONE])


def test_number_and_order_count():
    other = ONE.model_copy(update={"group": None})
    hashes = {declaration_hash(list_) for list_ in ([ONE], [other], [ONE, other], [other, ONE])}
    assert len(hashes) == 4


def test_lists_that_outputs_were_judged_by():
    assert add_declaration([], "a") == ["a"] and add_declaration(["a"], "a") == ["a"]
    assert add_declaration(["a"], "b") == ["a", "b"] and add_declaration(["a", "b"], "a") == ["a", "b", "a"]
