"""Names that are not there."""

from __future__ import annotations

import pytest

from lib.names import look_up

TABLE = {"small_cnn": 1, "resnet18": 2}


def test_known_names_are_found():
    assert look_up("network", "resnet18", TABLE) == 2


@pytest.mark.parametrize(("name", "message"), [
    ("resnet81",  r"no network is called 'resnet81'; did you mean resnet18\? known: small_cnn, resnet18"),
    ("Small-CNN", r"did you mean small_cnn\?"),
    ("zzz",       r"no network is called 'zzz'; known: small_cnn"),
    ("",          r"no network is called ''; known"),
])
def test_unknown_names_are_answered(name, message):
    with pytest.raises(ValueError, match=message):
        look_up("network", name, TABLE)
