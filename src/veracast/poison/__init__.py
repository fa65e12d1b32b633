"""The audit of image training sets for poison: self-supervised encoders, and probes of what they learnt."""
