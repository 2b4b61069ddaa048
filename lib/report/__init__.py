"""Plots, image grids and computed sentences: what a reader of the report sees. Nothing here writes to disk."""
