"""The flow `train`: one experiment is trained, logged, evaluated and registered; first the base that it starts from,
where no registered model answers that request yet."""

from __future__ import annotations

from prefect import flow

from flows import tasks
from flows.ingest import ingest
from flows.progress import say
from vgg16 import catalog
from vgg16.config import Experiment
from vgg16.errors import Vgg16Error
from vgg16.records import DatasetRef, Run


@flow(name="train", flow_run_name="train {experiment.name}")
def train(experiment: Experiment, ref: DatasetRef, chain: str = "") -> Run:
    """Train on published and validated data; a diverged run has no model, and is a result."""
    run, model_uri = tasks.train_model(experiment, ref, _base(experiment), chain)
    if not model_uri:
        return run
    return tasks.register_model(tasks.evaluate_model(run, model_uri, ref), model_uri, ref)


def _base(experiment: Experiment) -> str:
    """The address of what the experiment starts from, "" for random weights; that of an experiment's registered model,
    trained first where there is none."""
    if experiment.base not in catalog.EXPERIMENTS:
        return experiment.base or ""
    base = catalog.experiment(experiment.base)
    ref, _ = ingest(base.dataset)
    known = tasks.find_base(base, ref, _base(base))
    if known:
        say(f"base        {base.name}: {known}")
        return known
    run = train(base, ref)
    if run.model is None:
        raise Vgg16Error(
            f"The base {base.name} diverged: {run.cause}.", f"So {experiment.name} has no weights to start from."
        )
    return f"models:/{run.model.name}/{run.model.version}"
