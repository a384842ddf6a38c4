"""What a team's Prefect server is given, by `python -m vgg16.flows.deploy`: the work pools, the deployments of
`prefect.yaml` and the automations, which end and repeat what was killed and tell of failures and promotions.

Running it twice is running it once. `PREFECT_API_URL` names the server; `VGG16_WEBHOOK` the address that is told, with
`{"text": ...}` as Slack, Mattermost and Teams take it, none where it is not set.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from vgg16.errors import Vgg16Error
from vgg16.workplace import reach, settings

ROOT = Path(__file__).resolve().parents[1]


def deploy() -> None:
    """Make pools, deployments and automations what this checkout says. Raises Vgg16Error."""
    settings.apply()
    reach.reach_prefect()
    # Prefect reads the settings when it is imported.
    from vgg16.flows import automations

    asyncio.run(automations.make_pools())
    environment = os.environ | {"PROJECT_DIR": os.environ.get("PROJECT_DIR", str(ROOT))}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Vgg16Error(f"prefect.yaml was not deployed:\n{done.stdout}{done.stderr}")
    asyncio.run(automations.make_automations())


if __name__ == "__main__":
    try:
        deploy()
    except Vgg16Error as error:
        sys.exit(f"vgg16: {error}")
