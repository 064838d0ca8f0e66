"""Training of the bundled local-feature model; run as ``python -m training.train``."""
