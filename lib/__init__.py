"""Counterbalance: do generated images make a classifier better, and fairer, where images are few?"""
