"""The audit of image sets for self-supervised learning: planted attacks, encoders, locators, verdicts."""
