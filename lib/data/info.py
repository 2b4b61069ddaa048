"""What every known data set is: where it lies, who made it, what may be done with it, how its columns are called.

Counts are those of the official release. They are compared when a source is read; a difference is a note, not an error,
because a reduced or corrected copy is often what a reader has.
"""

from __future__ import annotations

from lib.data.catalogue import bcn20000, ddi, fitzpatrick17k, ham10000, image_folder, isic_2019, isic_2020, pad_ufes_20, phantom
from lib.data.catalogue.entry import DatasetInfo
from lib.names import look_up

__all__ = ["INFO", "DatasetInfo", "find_info"]

INFO: dict[str, DatasetInfo] = {module.ENTRY.name: module.ENTRY for module in (
    ham10000, pad_ufes_20, fitzpatrick17k, ddi, bcn20000, isic_2019, isic_2020, image_folder, phantom)}


def find_info(name: str) -> DatasetInfo:
    """The data set called `name`. ValueError lists the known ones."""
    return look_up("data set", name, INFO)
