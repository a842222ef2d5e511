"""Seawall: the production layer for Python web services.

`Seawall` puts the layer on an app; every part is also usable alone, from its own package.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seawall.app import Seawall

__version__ = "0.1.0"
__all__ = ["Seawall", "__version__"]


def __getattr__(name: str) -> object:
    """Import the composition root when somebody asks for it, so that `import seawall` stays light."""
    if name == "Seawall":
        from seawall.app import Seawall  # noqa: PLC0415

        return Seawall
    message = f"module 'seawall' has no attribute {name!r}"
    raise AttributeError(message)
