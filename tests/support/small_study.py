"""The text of the smallest study file there can be, for tests that change or spoil it."""

STUDY = """\
name: tiny
title: A tiny study
data:
  sources:
    - dataset: phantom
      phantom: {patients: 5}
labels:
  classes:
    a: [x]
    b: [y, z]
"""
