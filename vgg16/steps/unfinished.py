"""What a training that was cut off has left: the state that it goes on from, and the MLflow run that it goes on in.

Asked by whoever holds the lease of the request, so that nobody else trains it."""

from __future__ import annotations

from collections.abc import Callable

from vgg16.records import TrainingRequest
from vgg16.training import checkpoints
from vgg16.training.checkpoints import State
from vgg16.workplace.workplace import Workplace


def unfinished(
    request: TrainingRequest, fits: Callable[[State], bool], workplace: Workplace
) -> tuple[str, State | None]:
    """The run and the state that a training which was cut off has left, "" and None for none. A complete run is not
    touched again; one that is called running and does not go on is called killed from now on."""
    if request.fresh:
        _forget_other_chains(request, workplace)
    run_id, state = _kept(request, fits, workplace)
    runs, store = workplace.tracker.runs, workplace.store
    for left, token in runs.left_running(request.digest).items():
        # Another store's leases say nothing here: its process may live.
        if left == run_id or (token and not checkpoints.was_held(store, request.digest, token)):
            continue
        # A kill came before its id was noted, and so before anything was learned.
        if not run_id and not workplace.tracker.results.logged_epochs(left):
            run_id = left
        else:
            runs.mark_killed(left)
    return run_id, state


def _kept(request: TrainingRequest, fits: Callable[[State], bool], workplace: Workplace) -> tuple[str, State | None]:
    """What the store keeps of it."""
    store = workplace.store
    run_id = checkpoints.noted_run(store, request.digest)
    run_state = workplace.tracker.runs.state(run_id) if run_id else ""
    states = [] if run_state == "complete" else checkpoints.states(store, request.digest)
    # Of a state that does not fit, the one before it may.
    tried = False
    state = next((kept for kept in states if (tried := True) and fits(kept)), None)
    misfit = tried and state is None
    if misfit:
        name = request.experiment.name
        workplace.say(f"training    the checkpoint of {name} does not fit this code: it starts anew, in a new run")
    if misfit or run_state == "complete":
        checkpoints.clear(store, request.digest)
        return "", None
    return (run_id if run_state else ""), state


def _forget_other_chains(request: TrainingRequest, workplace: Workplace) -> None:
    """Keep nothing of what another chain has left of this training; its run in MLflow stays."""
    runs = workplace.tracker.runs
    run_id = checkpoints.noted_run(workplace.store, request.digest)
    begun_by = runs.get(run_id).chain if run_id and runs.state(run_id) else None
    if begun_by != request.chain:
        checkpoints.clear(workplace.store, request.digest)
