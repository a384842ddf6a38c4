"""The thread of the challenger: it looks which one that is, opens its file, and lets it answer. It has the lowest
priority, and nothing that happens in it reaches an answer of the champion's."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from vgg16.data.decode import Decoded
from vgg16.errors import first_line
from vgg16.promotion import challengers
from vgg16.promotion.challengers import Challenger
from vgg16.serving import champion as champions
from vgg16.serving.batching import Answer, Image
from vgg16.serving.champion import Served, Wanted
from vgg16.serving.follow import Follower
from vgg16.serving.limits import Limits
from vgg16.serving.memory import give_back
from vgg16.serving.metrics import Metrics
from vgg16.serving.notices import Notices
from vgg16.serving.shadow.comparison import Comparison
from vgg16.serving.shadow.queue import FAILED, FULL, SIDE, Compare, Frame, Queue, Shown
from vgg16.storage.store import Store

# Seconds after which a file that failed is tried again.
_PAUSE = 30.0
# Seconds that the end of the service waits for an answer that runs.
_END = 5.0


class Shadow(threading.Thread):
    """Answers beside the champion of a follower, once it is started. `comparison` is what is counted, None where no
    challenger answers; replaced whole."""

    def __init__(self, follower: Follower, limits: Limits, metrics: Metrics) -> None:
        super().__init__(name="shadow", daemon=True)
        self.follower, self.metrics = follower, metrics
        self.comparison: Comparison | None = None
        self._record: Challenger | None = None
        self._problem = ""
        self._notices = Notices(metrics, follower.say)
        self._queue = Queue(limits)
        self._failed: Wanted | None = None
        self._not_before = 0.0
        self._missed = 0
        self._ended = threading.Event()

    # What the requests call: none of it waits, and none of it raises.

    def shown(self, picture: Decoded, image: Image, champion: Served) -> Shown | None:
        """A picture for the challenger, which was just made an image for the champion; None where nobody wants it."""
        comparison = self.comparison
        if comparison is None:
            return None
        mine, theirs = champion.session, comparison.challenger.session
        if (mine.side, mine.framing) == (theirs.side, theirs.framing):
            return Shown(comparison.challenger, image)
        shown = Shown(comparison.challenger, None, FULL)
        self._queue.put(Frame(shown, picture))
        return shown

    def compare(self, champion: Served, shown: Sequence[Shown | None], answers: Sequence[Answer]) -> None:
        """Let the challenger answer images that the champion has answered."""
        for image, answer in zip(shown, answers, strict=True):
            if image and not self._queue.put(Compare(image, champion, answer)) and (counted := self.comparison):
                counted.drop(FULL)

    def compare_tensor(self, champion: Served, images: Image, answers: Sequence[Answer]) -> None:
        """The same with images uint8 [n, side, side, 3] of the champion's side."""
        comparison = self.comparison
        if comparison is None:
            return
        if comparison.challenger.session.side != images.shape[1]:
            comparison.drop(SIDE, len(images))
            return
        # A view would keep the body of the request.
        self.compare(champion, [Shown(comparison.challenger, image.copy()) for image in images], answers)

    def facts(self) -> dict[str, Any]:
        """The challenger and what was counted, for JSON: {} where nothing waits in Staging. `problem` says why it does
        not answer, "" where it does."""
        record, comparison = self._record, self.comparison
        if record is None:
            return {}
        counted = comparison.facts() if comparison and comparison.challenger.version == record.version else {}
        return {"version": record.version, "since": record.at, "problem": self._problem} | counted

    # What the thread does.

    def run(self) -> None:
        """Answer and look, until this is stopped."""
        if sys.platform == "linux":  # where threads have a priority each
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        due = time.monotonic()
        while not self._ended.is_set():
            if (now := time.monotonic()) >= due:
                self.look()
                due = now + self.follower.poll
            job = self._queue.get(due - time.monotonic())
            if isinstance(job, Frame):
                self._frame(job)
            elif job:
                self._compare(job)

    def stop(self) -> None:
        """Look and answer no more."""
        self._ended.set()
        if self.is_alive():
            self._queue.wake()
            self.join(_END)

    def look(self) -> None:
        """Look once which version waits in Staging, and let it answer from now on."""
        champion, store = self.follower.champion, self.follower.source.store
        if champion is None:
            return
        try:
            record = challengers.read(store, champion.name)
            wanted = _wanted(store, record) if record else None
        except Exception as error:  # whatever a store behind a network fails with
            self.metrics.failures.labels("challenger").inc()
            self._missed += 1
            # By the second time the follower has said it where all of the store is away.
            if self._missed > 1 and not self.follower.is_cut_off:
                self._notices.tell("challenger", f"the challenger cannot be looked up: {first_line(error)}")
            return
        self._missed = 0
        self._notices.recovered("challenger", "the challenger is looked up again")
        if record is None or record.version == champion.version:
            self._leave(None)
        elif wanted is None:
            export = f"vgg16 export models:/{record.name}/{record.version} --format onnx"
            self._leave(record, f"it has no ONNX file, which `{export}` makes")
            self._notices.tell("shadow", f"version {record.version} waits in Staging; {self._problem}")
        elif not self._compares(champion, wanted) and (wanted != self._failed or time.monotonic() >= self._not_before):
            self._take(champion, record, wanted)

    def _compares(self, champion: Served, wanted: Wanted) -> bool:
        comparison = self.comparison
        return (
            comparison is not None
            and comparison.challenger.wanted == wanted
            and comparison.is_of(champion, comparison.challenger)
        )

    def _take(self, champion: Served, record: Challenger, wanted: Wanted) -> None:
        """Let a version answer; one that does already is compared with another champion from now on."""
        if self.comparison and self.comparison.challenger.wanted == wanted:
            challenger = self.comparison.challenger
        else:
            self._leave(record, "it is being opened")
            source = self.follower.source
            try:
                challenger = champions.load(source.store, wanted, source.drafts, threads=1)
            except Exception as error:  # of a file, too
                self._failed, self._not_before = wanted, time.monotonic() + _PAUSE
                self._problem = first_line(error)
                said = f"version {wanted.version} waits in Staging and cannot answer: {self._problem}"
                self._notices.fail("shadow", said)
                return
        self._failed, self._record, self._problem = None, record, ""
        self._notices.forget("shadow", "answer")
        self.comparison = Comparison(champion, challenger, self.metrics)
        # The one before may have been the last to have the champion before.
        give_back()
        versions = f"version {challenger.version}, which waits in Staging, answers beside version {champion.version}"
        self.follower.say(f"{versions}, unheard")

    def _leave(self, record: Challenger | None, problem: str = "") -> None:
        """None answers from now on; of one that should, the problem."""
        self._record, self._problem = record, problem
        if self.comparison:
            left = self.comparison.challenger.version
            self.comparison = None
            self.metrics.end_shadow()
            self.follower.say(f"version {left} answers beside the champion no more")

    def _frame(self, job: Frame) -> None:
        session = job.shown.challenger.session
        try:
            job.shown.image = job.picture.square(session.side, session.framing)
            job.shown.missing = ""
        except Exception:  # of a picture that the champion could be shown
            job.shown.missing = FAILED
        finally:
            self._queue.done(job)

    def _compare(self, job: Compare) -> None:
        comparison, shown = self.comparison, job.shown
        # What was asked before a swap is no part of what is counted after it.
        if comparison is None or not comparison.is_of(job.champion, shown.challenger):
            return
        if shown.image is None:
            comparison.drop(shown.missing)
            return
        try:
            probabilities = shown.challenger.session.answer(shown.image[None])[0][0]
            if not np.isfinite(probabilities).all():
                raise ValueError("expected finite probabilities, found others")
        except Exception as error:  # whatever it fails with is its own matter
            comparison.drop(FAILED)
            self._notices.tell(
                "answer", f"version {shown.challenger.version}, unheard, does not answer: {first_line(error)}"
            )
            return
        comparison.count(job.answer[0], probabilities)


def _wanted(store: Store, record: Challenger) -> Wanted | None:
    """The challenger's file, one that was exported since it came to wait included; None for none."""
    digest = record.model_digest
    sha256 = record.onnx or (champions.exported_since(store, record.name, record.version, digest) if digest else "")
    return Wanted(record.name, record.version, sha256, digest, entry=0) if sha256 else None
