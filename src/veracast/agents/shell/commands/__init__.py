"""The commands, one file per family; table.py lists them by name."""
