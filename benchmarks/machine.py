"""What a figure comes with: the machine, the date and the commit that it was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from scipy.stats import binom


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
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    commit = asked.stdout.strip() or "unknown"
    return {"commit": commit, "machine": machine(), "date": datetime.now(UTC).date().isoformat()}


def peak_megabytes() -> float:
    """The most memory that this process has held since its program began."""
    # The system's own figure of resources used begins with what the process that started this one held.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def middle(values: Sequence[float]) -> str:
    """The median and its 95 % interval, from the order of the values alone; of fewer than six, their range."""
    ordered = sorted(values)
    # As many at either end as are beyond the median's place by chance alone.
    low = max(int(binom.ppf(0.025, len(ordered), 0.5)) - 1, 0)
    return f"{median(ordered):.3g} ({ordered[low]:.3g} to {ordered[-1 - low]:.3g})"
