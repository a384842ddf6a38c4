"""Whose decisions this process makes."""

from __future__ import annotations

import os
import pwd


def account() -> str:
    """The account that this process runs as, by what the system says: variables such as LOGNAME say what one likes."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user may have no name
        return f"uid {os.geteuid()}"
