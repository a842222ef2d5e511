"""Measurements of Seawall beside every Python library that does the same work."""
