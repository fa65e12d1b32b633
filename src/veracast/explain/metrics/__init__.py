"""How good anybody's explanations are, beside references that people gave."""
