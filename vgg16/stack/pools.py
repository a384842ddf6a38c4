"""The work pools of a team's Prefect server, made by `vgg16.flows.deploy`; the local stack has a worker for each."""

from __future__ import annotations

# Their names stand in prefect.yaml too.
POOLS = {"cpu": "ingest, add, retrain, study, score, stages, promote, rollback: small runs", "gpu": "train: one run a worker"}
