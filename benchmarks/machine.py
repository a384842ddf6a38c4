"""What a figure comes with: the machine, the date and the commit that it was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def machine() -> str:
    """The processor's name and its cores."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    amx = " with AMX" if any("amx_bf16" in line for line in lines) else ""
    return f"{names[0] if names else platform.processor()}{amx}, {os.cpu_count()} cores"


def stamp() -> dict[str, str]:
    """Machine, date and commit, for the line of a result."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    commit = asked.stdout.strip() or "unknown"
    return {"commit": commit, "machine": machine(), "date": datetime.now(UTC).date().isoformat()}
