"""The arms of an experiment: what a classifier is trained on, as a table.

An arm says how often each training row is drawn (a rule of `lib/classify/sampling.py`) and whether what is drawn is augmented.
All arms of a study have the same budget of optimiser steps on batches of the same sizes (early stopping may leave some of it
unused); class weights follow from what the arm is expected to draw. A new arm is one line here, and a rule where none fits yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from lib.names import look_up


@dataclass(frozen=True)
class Arm:
    """One way to fill the training batches."""

    meaning:   str               # for tables and figures
    rule:      str               # how often each row is drawn: a key of lib.classify.sampling.RULES
    augmented: bool = False      # rows of `classifier.augmentation.classes` are changed at random each time they are drawn


ARMS: dict[str, Arm] = {
    "real":        Arm("real images, each once per epoch",                              rule="each_once"),
    "classical":   Arm("real images, each once per epoch, augmented",                   rule="each_once", augmented=True),
    "oversampled": Arm("real images, every label × group cell drawn equally often",     rule="equal_cells"),
}


def find_arm(name: str) -> Arm:
    """The arm called `name`. ValueError lists the known ones."""
    return look_up("arm", name, ARMS)
