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
import tempfile
from contextlib import nullcontext

from vgg16 import shown
from vgg16.errors import RequestError, Vgg16Error
from vgg16.workplace import installation, settings


def deploy() -> None:
    """Make pools, deployments and automations what this code says. Raises Vgg16Error."""
    settings.apply()
    # Prefect reads the settings when it is imported.
    from vgg16.flows.servers import automations
    from vgg16.workplace import prefect

    if prefect.prepare() is None:
        raise RequestError("No Prefect server is named.", "Set PREFECT_API_URL.")

    asyncio.run(automations.make_pools())
    _deploy_all()
    asyncio.run(automations.make_automations())


def _deploy_all() -> None:
    """Bring prefect.yaml to the server, as `prefect deploy` does."""
    file = installation.PACKAGE / "prefect.yaml"
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    # Prefect would write this machine's folder into the deployments; each worker has its own.
    environment = {name: value for name, value in os.environ.items() if name != "PROJECT_DIR"}
    checkout = installation.checkout()
    # It tells a deployment's version by the git repository around the folder; without a checkout that is nobody's.
    with nullcontext(str(checkout)) if checkout else tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Vgg16Error(f"prefect.yaml was not deployed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        deploy()
    except Vgg16Error as error:
        sys.exit(shown.message(f"vgg16: {error}"))
