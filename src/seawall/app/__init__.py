"""The composition root: makes the parts from settings, knows them all, and installs them on an app."""

from seawall.app.root import Seawall

__all__ = ["Seawall"]
