"""Files that a service keeps for a while: a folder is swept of what nobody needs any more."""

from seawall.files.events import FolderSwept
from seawall.files.report import SweepReport
from seawall.files.retention import InUse, Retention

__all__ = ["FolderSwept", "InUse", "Retention", "SweepReport"]
