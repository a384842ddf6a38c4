"""The services of this home's models, those of its stack and those that were started by hand: where they are, and what
they say of themselves."""

from __future__ import annotations

import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families

from vgg16.errors import Vgg16Error
from vgg16.promotion import ledger
from vgg16.serving.announced import running
from vgg16.stack import processes, served
from vgg16.stack.configuration import SERVE, TOKEN
from vgg16.stack.state import read_json
from vgg16.storage.store import Store
from vgg16.workplace import stack_file

# A service that runs answers these questions in milliseconds, whatever it is asked beside them.
_SECONDS = 2.0
# A service looks at its ledger every two seconds.
_LATE_SECONDS = 10.0
_WAITS = "waits for a first version in production: vgg16 promote {} VERSION"


class Service(NamedTuple):
    """A service by its name, where it answers, by the ledger in which store, and the token that it asks for, as far as
    this shell or the stack knows it; whether it is the stack's, and runs."""

    name: str
    url: str
    store: str
    token: str
    ours: bool
    runs: bool

    @property
    def model(self) -> str:
        """The registered model."""
        return self.name.removeprefix(SERVE)


def services(home: Path) -> list[Service]:
    """Those that the stack keeps, running or not, and those that were started by hand and run."""
    stack = stack_file.read(home)
    kept = _of_stack(home, stack) if stack.get("up") else []
    kept_urls = {service.url for service in kept}
    token = os.environ.get("VGG16_SERVE_TOKEN", "")
    by_hand = [
        Service(f"{SERVE}{one.model}", one.url, one.store, token, ours=False, runs=True) for one in running(home)
    ]
    return [*kept, *(service for service in by_hand if service.url not in kept_urls)]


def _of_stack(home: Path, stack: dict[str, Any]) -> list[Service]:
    token = read_json(home / "stack" / "secrets.json").get(TOKEN, "")
    started = {row["name"]: row for row in stack["services"]}
    kept = []
    for name in (f"{SERVE}{model}" for model in stack.get("serve", ())):
        row = started.get(name)
        # Somebody else may listen there by now, who is not to see the token.
        runs = row is not None and processes.find(row["pid"], row["create_time"]) is not None
        url, store = row["url"] if row else "", stack["variables"]["VGG16_STORE"]
        kept.append(Service(name, url, store, token, ours=True, runs=runs))
    return kept


def facts(listed: list[Service]) -> list[dict[str, Any]]:
    """What each says of itself, asked at the same time: `version` and `images` are None where it does not say;
    `current` is whether that version is the one in production, None where that is not known; `challenger` is the one
    that answers too, unheard, and the share of `images` to which it gives the `same` label, None for none; `reason` is
    what is wrong, "" for nothing."""
    if not listed:
        return []
    with ThreadPoolExecutor(len(listed)) as asking:
        return list(asking.map(_facts, listed))


def _facts(service: Service) -> dict[str, Any]:
    state = {"name": service.name, "url": service.url, "model": service.model, "version": None, "ready": False}
    state |= {"current": None, "images": None, "challenger": None, "live": False}
    state |= {"stack": service.ours, "reason": ""}
    if not service.runs:
        return state | {"reason": "does not run: vgg16 up"}
    # As bytes: of a text that is not ASCII httpx makes no header.
    headers = {b"Authorization": f"Bearer {service.token}".encode()} if service.token else {}
    try:
        with httpx.Client(base_url=service.url, trust_env=False, timeout=_SECONDS, headers=headers) as client:
            ready, metrics = client.get("/v2/health/ready"), client.get("/metrics")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return state | {"reason": f"does not answer: {type(error).__name__}"}
    state |= {"live": True, "ready": ready.is_success}
    if metrics.is_success:
        state |= _of_metrics(metrics.text)
    elif metrics.status_code == 401:
        state["reason"] = "asks for its token: set VGG16_SERVE_TOKEN"
    else:
        state["reason"] = f"says nothing of itself: HTTP {metrics.status_code}"
    return state if ready.is_success else state | {"current": None, "reason": _reason(ready)}


def _of_metrics(page: str) -> dict[str, Any]:
    state: dict[str, Any] = {"images": 0}
    values: dict[str, float] = {}
    shadow: dict[str, Any] | None = None
    for sample in (sample for family in text_string_to_metric_families(page) for sample in family.samples):
        values[sample.name] = sample.value
        if sample.name == "vgg16_champion_info":
            state["version"] = sample.labels["version"]
        elif sample.name == "vgg16_images_total":
            state["images"] += int(sample.value)
        elif sample.name == "vgg16_shadow_info":
            shadow = {"version": sample.labels["version"]}
    if shadow:
        same = values.get("vgg16_shadow_agreement", math.nan)
        state["challenger"] = shadow | {"images": int(values.get("vgg16_shadow_images_total", 0)), "same": same}
    age = values.get("vgg16_ledger_age_seconds", 0.0)
    if age > _LATE_SECONDS:
        return state | {"reason": f"has not been able to read the ledger for {age:.0f} s"}
    current = values.get("vgg16_champion_current") == 1
    reason = "" if current else "another version is in production; its log says why"
    return state | {"current": current, "reason": reason}


def _reason(answer: httpx.Response) -> str:
    try:
        refusal = answer.json()
        return str(refusal["error"]).removesuffix(refusal["hint"]).strip()
    except (ValueError, KeyError, TypeError):
        return f"is not ready: HTTP {answer.status_code}"


def check(home: Path, store: Store) -> str:
    """What is seen of each service, and that it answers with what is in production. Raises Vgg16Error for those that do
    not."""
    listed = services(home)
    absent = served.missing()
    fix = f"`vgg16 serve` needs {', '.join(absent)}: pip install 'vgg16[serve]'" if absent else ""
    if not listed:
        return f"none runs; {fix or 'vgg16 serve NAME starts one, vgg16 up --serve NAME keeps one'}"
    seen = [_seen(service, state, store) for service, state in zip(listed, facts(listed), strict=True)]
    if broken := [text for text, is_well in seen if not is_well]:
        raise Vgg16Error(f"{'; '.join(broken)}.", fix)
    return "; ".join(text for text, _ in seen)


def _seen(service: Service, state: dict[str, Any], store: Store) -> tuple[str, bool]:
    """What is said of a service, and whether that is well."""
    if not service.runs:
        off = f"vgg16 up --no-serve {service.model}"
        return f"{service.name} does not run: vgg16 up starts it, {off} takes it away", False
    where = f"{service.name} at {service.url}"
    # Of another store its own word counts.
    history = ledger.entries(store, service.model) if service.store == store.address else []
    wanted = ledger.productions(history)[-1] if history else ""
    deadline = time.monotonic() + _LATE_SECONDS
    while history and state["version"] not in (None, wanted) and time.monotonic() < deadline:
        time.sleep(0.5)
        (state,) = facts([service])
    if not state["ready"]:
        waits = state["live"] and not history and service.store == store.address
        return f"{where} {_WAITS.format(service.model) if waits else state['reason']}", waits
    if state["version"] is None:
        return f"{where} {state['reason']}", True
    answers = f"{where} answers with version {state['version']}"
    if history and state["version"] != wanted:
        return f"{answers}, and {wanted} is in production: its log says why", False
    return f"{answers}, {state['reason'] or 'which is in production'}", state["current"] is True
