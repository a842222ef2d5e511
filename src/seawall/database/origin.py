"""Which line of the service's own code a statement comes from."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from types import FrameType

import greenlet

_OTHERS = (
    sysconfig.get_path("purelib"),
    sysconfig.get_path("platlib"),
    sysconfig.get_path("stdlib"),
    str(Path(__file__).parent),
    "<",
)
"""Where code is that is nobody's own: installed packages, the standard library, this room."""


def origin() -> str | None:
    """`file:line in function` of the innermost frame that is the service's own; None if there is none."""
    # SQLAlchemy runs in a greenlet; whoever awaits it stands in the one above.
    parent = greenlet.getcurrent().parent
    return _innermost(sys._getframe(1)) or _innermost(None if parent is None else parent.gr_frame)


def _innermost(frame: FrameType | None) -> str | None:
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_OTHERS):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return None
