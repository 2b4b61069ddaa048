"""Notebook 06: which generated images are good enough to train on, and the evidence for each that is not."""
