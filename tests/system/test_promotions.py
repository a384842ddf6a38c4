"""Many promotions at once, by processes that are killed at any moment: one champion, a ledger without gaps."""

from __future__ import annotations

import logging
import multiprocessing
import random
import time
from pathlib import Path

import pytest

from tests.conftest import as_seen_by
from tests.exported import export
from tests.system import promoter
from vgg16.promotion import ledger, reconcile
from vgg16.storage.s3 import S3Store
from vgg16.storage.store import Store
from vgg16.tracking.connect import connect

log = logging.getLogger(__name__)

PROCESSES = 5
PROMOTIONS = 50
KILLS = 15


@pytest.mark.timeout(400)
def test_fifty_promotions_by_five_processes_that_are_killed_leave_one_champion_and_no_gap(
    store: Store, mlflow_server: str, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    log.info("seed %d", seed)
    chance = random.Random(seed)
    name = f"vgg16-race{seed}"
    registry = connect(mlflow_server).registry
    client = registry.client
    client.create_registered_model(name)
    run = client.create_run("0").info
    for _ in range(PROMOTIONS):
        client.create_model_version(name, run.artifact_uri, run_id=run.run_id)

    # Children of a server that has imported everything: a new one costs no seconds.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([promoter.__name__])
    environment = as_seen_by(store) if isinstance(store, S3Store) else {}
    asked = (mlflow_server, store.address, environment, name, range(1, PROMOTIONS + 1), tmp_path)

    def started() -> multiprocessing.process.BaseProcess:
        process = processes.Process(target=promoter.promote_all, args=asked, daemon=True)
        process.start()
        return process

    crew = [started() for _ in range(PROCESSES)]
    kills = 0
    while any(process.is_alive() for process in crew):
        time.sleep(chance.uniform(0.1, 2))
        victim = chance.randrange(PROCESSES)
        if crew[victim].is_alive() and kills < KILLS:
            crew[victim].kill()
            crew[victim].join()
            crew[victim] = started()
            kills += 1
    assert [process.exitcode for process in crew] == [0] * PROCESSES

    settled = reconcile.settle(registry, store, name, export)
    entries = ledger.entries(store, name)
    counts = {end: len(list(tmp_path.glob(f"*.{end}"))) for end in ("asked", "promoted", "told", f"{name}:")}
    log.info("%d kills, %d entries, %s", kills, len(entries), counts)
    assert counts["asked"] == PROMOTIONS
    assert kills >= PROCESSES
    assert [each.number for each in entries] == list(range(1, len(entries) + 1))
    assert len(store.keys(f"ledger/{name}/")) == len(entries)
    assert len({each.version for each in entries}) == len(entries)
    assert [each.previous for each in entries] == ["", *(each.version for each in entries[:-1])]
    assert counts["promoted"] <= len(entries) <= counts["promoted"] + kills
    champion = entries[-1].version
    shown = registry.state(name)
    assert (shown.production, shown.champion, shown.followed) == ([champion], champion, len(entries))
    assert settled.standing.champion == champion
