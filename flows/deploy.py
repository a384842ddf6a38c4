"""The work pools and deployments of a Prefect server, as prefect.yaml has them: `python -m flows.deploy`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]


def main() -> int:
    """Make the pools, then every deployment; the exit status of the last."""
    environment = os.environ | {"PROJECT_DIR": str(ROOT)}
    for pool in ("cpu", "gpu"):
        command = [*PREFECT, "work-pool", "create", pool, "--type", "process", "--overwrite"]
        subprocess.run(command, check=True, env=environment)
    return subprocess.run([*PREFECT, "deploy", "--all"], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
