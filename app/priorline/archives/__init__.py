"""Doors to the outside, one per kind of source; foreign errors are translated here."""
