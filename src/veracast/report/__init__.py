"""Pages drawn from records alone."""
