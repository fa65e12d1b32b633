"""Tiers of `veracast bench agents`: each is a table of its own, resumed by its pieces."""
