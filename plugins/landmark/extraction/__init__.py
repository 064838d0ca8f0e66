"""Bytes of an image file -> pixels -> the local features that a model finds in them."""

# What other wings use; the other rooms are this one's own.
__all__ = [
    "decoding",
    "extractor",
    "models",
    "sandbox",
    "saved_models",
    "shot",
    "signatures",
]
