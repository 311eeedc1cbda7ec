"""Pixels without a screen: read, decode, order, geometry, windowing, projections."""
