"""Measurements, as ratios against named peers in one run: ``make bench``."""
