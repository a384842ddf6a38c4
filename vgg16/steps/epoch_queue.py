"""The epochs of a training on their way to MLflow: sent beside it and in order, so that a server that is slow or away
neither stops nor delays it, and kept until they have arrived."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from vgg16.errors import Vgg16Error, first_line
from vgg16.records import EpochMetrics
from vgg16.storage.leases import LostLeaseError

RETRY_SECONDS = 5.0
WAIT_SECONDS = 120.0  # for MLflow, once training has ended
BRIEF_SECONDS = 2.0  # what is on its way when training is cut off may still arrive


@contextmanager
def epoch_queue(
    send: Callable[[Sequence[EpochMetrics]], None], say: Callable[[str], None]
) -> Iterator[Callable[[EpochMetrics], None]]:
    """Where epochs are handed over. At the end it waits for those under way; raises Vgg16Error where they stay so."""
    waiting: list[EpochMetrics] = []
    changed, stop = threading.Condition(), threading.Event()
    failures: list[Exception] = []

    def add(metrics: EpochMetrics) -> None:
        with changed:
            waiting.append(metrics)
            changed.notify_all()

    def deliver() -> None:
        while True:
            with changed:
                changed.wait_for(lambda: waiting or stop.is_set())
                if stop.is_set():
                    return
                batch = tuple(waiting)
            try:
                send(batch)
            except Exception as error:  # a server away or ill, a network without a way: all may pass
                failures.append(error)
                if isinstance(error, LostLeaseError):
                    return
                if len(failures) == 1:
                    say("            MLflow does not answer; metrics wait")
                stop.wait(RETRY_SECONDS)
                continue
            with changed:
                del waiting[: len(batch)]
                changed.notify_all()

    def arrived(seconds: float) -> bool:
        with changed:
            return changed.wait_for(lambda: not waiting or not courier.is_alive(), seconds)

    # With the context of this thread, which knows the run whose log is spoken to.
    courier = threading.Thread(target=contextvars.copy_context().run, args=(deliver,), daemon=True)
    courier.start()
    try:
        yield add
    except BaseException:
        arrived(BRIEF_SECONDS)
        raise
    else:
        if not arrived(BRIEF_SECONDS):
            say(f"            waiting for MLflow, at most {WAIT_SECONDS:.0f} s")
            arrived(WAIT_SECONDS)
        if waiting:
            raise _unanswered(f"{len(waiting)} epochs are not logged", failures[-1] if failures else None)
    finally:
        with changed:
            stop.set()
            changed.notify_all()


@contextmanager
def kept_when_mlflow_fails() -> Iterator[None]:
    """A failure of MLflow after training is reported with what is left to do."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("mlflow", "requests", "urllib3"):
            raise _unanswered("the run is not logged to its end", error) from error
        raise


def _unanswered(what: str, error: Exception | None) -> Vgg16Error:
    if isinstance(error, LostLeaseError):
        return error
    return Vgg16Error(
        f"MLflow does not answer, and {what}" + (f": {first_line(error)}" if error else "."),
        "What was trained is kept in the store: the same command logs and registers it, without training it again.",
    )
