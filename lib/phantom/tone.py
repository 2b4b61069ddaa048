"""Fitzpatrick types as ranges of melanosome fraction."""

from __future__ import annotations

TYPES = (1, 2, 3, 4, 5, 6)

# Melanosome volume fraction of the epidermis at the edges of types I…VI (DESIGN §6; the inner five stand at Groh's ITA cut points).
MELANOSOME_EDGES = (0.013, 0.038, 0.084, 0.122, 0.174, 0.307, 0.43)
