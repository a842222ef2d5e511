"""The environment is read here and nowhere else."""

from seawall.settings.settings import Settings, SettingsError

__all__ = ["Settings", "SettingsError"]
