"""What can end a training run before its time."""

from __future__ import annotations


class TrainingDivergedError(ValueError):
    """The loss became infinite or NaN; the message names what to change."""
