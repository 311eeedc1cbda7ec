"""Priorline: one timeline of all earlier studies of a patient over all hospitals."""

__version__ = "0.1.0"
