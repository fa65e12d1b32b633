"""Detectors of planted behaviour, one file each, behind one interface (protocol.py)."""
