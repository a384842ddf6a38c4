"""The work pools of a team's Prefect server, made by `vgg16.flows.deploy`; the local stack has a worker for each."""

from __future__ import annotations

# Their names stand in prefect.yaml too.
POOLS = {"cpu": "retrain, study, score and all that is done by hand: small runs", "gpu": "train: one run a worker"}
