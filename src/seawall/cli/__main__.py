"""`python -m seawall.cli`."""

from seawall.cli import script

script()
