"""Stages, staleness and the engine: what runs, when, and what it leaves behind (DESIGN §5)."""
