"""Warps and filters of the plane."""
