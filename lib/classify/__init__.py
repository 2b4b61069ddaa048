"""Classifiers: arms, networks, training, calibration, predictions."""
