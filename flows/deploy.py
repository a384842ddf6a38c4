"""What a team's Prefect server is given, by `python -m flows.deploy`: the work pools, the deployments of `prefect.yaml`
and the automations, which end and repeat what was killed and tell of failures and promotions.

Running it twice is running it once. `PREFECT_API_URL` names the server; `VGG16_WEBHOOK` the address that is told, with
`{"text": ...}` as Slack, Mattermost and Teams take it, none where it is not set.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from vgg16.errors import Vgg16Error
from vgg16.stack.pools import POOLS
from vgg16.workplace import reach, settings

ROOT = Path(__file__).parents[1]
# Six heartbeats: a healthy run outlives a server that restarts.
SILENCE_SECONDS = 180
CRASH_SECONDS = 10
CRASHES = 12  # told of within a day; each is told once or twice

Row = dict[str, Any]
OF_ANY_RUN: Row = {"match": {"prefect.resource.id": "prefect.flow-run.*"}, "for_each": ["prefect.resource.id"]}
OF_A_DEPLOYMENT: Row = OF_ANY_RUN | {
    "match_related": {"prefect.resource.role": "deployment", "prefect.resource.id": "prefect.deployment.*"}
}

AUTOMATIONS: tuple[Row, ...] = (
    {
        "name": "vgg16: a run whose heart stopped has crashed",
        "description": "Its machine or its process is gone, and nobody else would say so.",
        "trigger": OF_ANY_RUN
        | {
            "type": "event",
            "posture": "Proactive",
            "after": ["prefect.flow-run.heartbeat"],
            # A sign of life; or the name of a state, and ours end as Promoted and Refused too.
            "expect": ["prefect.flow-run.*"],
            "threshold": 1,
            "within": SILENCE_SECONDS,
        },
        "actions": [
            {"type": "change-flow-run-state", "state": "CRASHED", "message": "No heartbeat: its process is gone."}
        ],
    },
    {
        "name": "vgg16: a crashed run goes back to its queue",
        "description": "Any worker of the pool takes it up, from its last checkpoint.",
        "trigger": OF_A_DEPLOYMENT
        | {
            "type": "event",
            # A worker tells of one crash twice, seconds apart: the run goes back when nothing more is said.
            "posture": "Proactive",
            "after": ["prefect.flow-run.Crashed"],
            "expect": ["prefect.flow-run.*"],
            "threshold": 1,
            "within": CRASH_SECONDS,
        },
        "actions": [
            {"type": "change-flow-run-state", "state": "SCHEDULED", "name": "AwaitingRetry", "message": "Once more."}
        ],
    },
    {
        "name": "vgg16: a run that crashes again and again has failed",
        "description": "Then it is not the machine: its log, and that of its worker, end with the cause.",
        "trigger": OF_A_DEPLOYMENT
        | {
            "type": "event",
            "posture": "Reactive",
            "expect": ["prefect.flow-run.Crashed"],
            "threshold": CRASHES,
            "within": 24 * 3600,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "FAILED",
                "message": "It crashed again and again. Out of memory is the commonest cause.",
                "force": True,
            }
        ],
    },
)

# Whom VGG16_WEBHOOK names is told this text.
NOTIFICATIONS: tuple[tuple[Row, str], ...] = (
    (
        {
            "name": "vgg16: tell of a failure",
            "trigger": OF_A_DEPLOYMENT
            | {
                "type": "event",
                "posture": "Reactive",
                # A crash is no failure yet: the run goes on.
                "expect": ["prefect.flow-run.Failed"],
                "threshold": 1,
                "within": 0,
            },
        },
        "{{ deployment.name }}, {{ flow_run.name }}: {{ flow_run.state.name }}. {{ flow_run.state.message }}",
    ),
    (
        {
            "name": "vgg16: tell of a promotion or a move by hand",
            "trigger": {
                "type": "event",
                "posture": "Reactive",
                "match": {"prefect.resource.id": "vgg16.model.*"},
                "expect": ["vgg16.promoted", "vgg16.rolled-back", "vgg16.moved-by-hand"],
                "threshold": 1,
                "within": 0,
            },
        },
        "{{ event.payload.text }}",
    ),
)


def deploy() -> None:
    """Make pools, deployments and automations what this checkout says. Raises Vgg16Error."""
    settings.apply()
    reach.reach_prefect()
    asyncio.run(_pools())
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
    asyncio.run(_automations())


async def _pools() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    async with get_client() as client:
        for name, description in POOLS.items():
            # Its owner may have made it one of Kubernetes or Docker: it is left as it is.
            with contextlib.suppress(ObjectAlreadyExists):
                await client.create_work_pool(WorkPoolCreate(name=name, type="process", description=description))


async def _automations() -> None:
    """Create each, or make the one of its name equal to it."""
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    async with get_client() as client:
        for row in (*AUTOMATIONS, *await _notifications()):
            automation = AutomationCore.model_validate(row)
            known = await client.read_automations_by_name(automation.name)
            if known:
                await client.update_automation(known[0].id, automation)
            else:
                await client.create_automation(automation)


async def _notifications() -> list[Row]:
    address = os.environ.get("VGG16_WEBHOOK")
    if not address:
        return []
    from prefect.blocks.webhook import Webhook
    from pydantic import SecretStr

    kept: Any = Webhook(method="POST", url=SecretStr(address)).save("vgg16-webhook", overwrite=True)
    block = await kept
    return [
        row | {"actions": [{"type": "call-webhook", "block_document_id": str(block), "payload": _payload(text)}]}
        for row, text in NOTIFICATIONS
    ]


def _payload(template: str) -> str:
    """A template of text as one of JSON, whatever quotes and line ends that text turns out to have."""
    return '{"text": {% set text %}' + template + "{% endset %}{{ text|string|tojson }}}"


if __name__ == "__main__":
    try:
        deploy()
    except Vgg16Error as error:
        sys.exit(f"vgg16: {error}")
