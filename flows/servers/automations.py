"""The work pools and automations of a team's Prefect server: what ends and repeats what was killed, retrains after a
drift, and tells of failures and promotions."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectAlreadyExists
from pydantic import SecretStr

from vgg16.stack.pools import POOLS

# Six heartbeats: a healthy run outlives a server that restarts.
SILENCE_SECONDS = 180
CRASH_SECONDS = 10
CRASHES = 12  # told of within a day; each is told once or twice

Row = dict[str, Any]


def _given(name: str) -> Row:
    """What the event's payload has under this name, as it is."""
    return {
        "__prefect_kind": "json",
        "value": {"__prefect_kind": "jinja", "template": f"{{{{ event.payload.{name}|tojson }}}}"},
    }


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
    {
        "name": "vgg16: after a drift, what people have labelled is learned and judged",
        "description": "The flow watch says so from min_labelled gate images on.",
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "vgg16.model.*"},
            "expect": ["vgg16.labels-came"],
            "threshold": 1,
            "within": 0,
        },
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": "retrain/retrain",  # its name, for which `make_automations` puts its id
                # Heard twice, the second chain finds that of the first.
                "parameters": {
                    "experiments": _given("experiments"),
                    "bases": _given("bases"),
                    "unless_unchanged": True,
                },
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
                "expect": [
                    "vgg16.promoted",
                    "vgg16.rolled-back",
                    "vgg16.moved-by-hand",
                    "vgg16.waits-no-more",
                ],
                "threshold": 1,
                "within": 0,
            },
        },
        "{{ event.payload.text }}",
    ),
    (
        {
            "name": "vgg16: tell of a model that got worse",
            "trigger": {
                "type": "event",
                "posture": "Reactive",
                "match": {"prefect.resource.id": "vgg16.model.*"},
                "expect": ["vgg16.got-worse"],
                "threshold": 1,
                "within": 0,
            },
        },
        "{{ event.payload.text }}",
    ),
    (
        {
            "name": "vgg16: tell of an inbox whose pictures drift",
            "trigger": {
                "type": "event",
                "posture": "Reactive",
                "match": {"prefect.resource.id": "vgg16.model.*"},
                "expect": ["vgg16.drifted", "vgg16.labels-came"],
                "threshold": 1,
                "within": 0,
            },
        },
        "{{ event.payload.text }}",
    ),
)


async def make_pools() -> None:
    """Create each work pool that is not there."""
    async with get_client() as client:
        for name, description in POOLS.items():
            # Its owner may have made it one of Kubernetes or Docker: it is left as it is.
            with contextlib.suppress(ObjectAlreadyExists):
                await client.create_work_pool(WorkPoolCreate(name=name, type="process", description=description))


async def make_automations() -> None:
    """Create each, or make the one of its name equal to it."""
    async with get_client() as client:
        for row in (*AUTOMATIONS, *await _notifications()):
            actions = [await _by_id(action, client) for action in row["actions"]]
            automation = AutomationCore.model_validate(row | {"actions": actions})
            same_name = await client.read_automations_by_name(automation.name)
            if same_name:
                await client.update_automation(same_name[0].id, automation)
            else:
                await client.create_automation(automation)


async def _by_id(action: Row, client: PrefectClient) -> Row:
    """An action on a deployment, which is named, as Prefect takes it."""
    if "deployment_id" not in action:
        return action
    return action | {"deployment_id": (await client.read_deployment_by_name(action["deployment_id"])).id}


async def _notifications() -> list[Row]:
    address = os.environ.get("VGG16_WEBHOOK")
    if not address:
        return []
    saving: Any = Webhook(method="POST", url=SecretStr(address)).save("vgg16-webhook", overwrite=True)
    block = await saving
    return [
        row | {"actions": [{"type": "call-webhook", "block_document_id": str(block), "payload": _payload(text)}]}
        for row, text in NOTIFICATIONS
    ]


def _payload(template: str) -> str:
    """A template of text as one of JSON, whatever quotes and line ends that text turns out to have."""
    return '{"text": {% set text %}' + template + "{% endset %}{{ text|string|tojson }}}"
