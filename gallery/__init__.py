"""The generator of the demo gallery; run as ``python -m gallery.generate`` (see README.md)."""
