"""Landmark: given a photograph, find the other photographs of the same place."""
