"""Leases of which one owner at a time holds one, and checkpoints that are whole or passed over."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vgg16.errors import Vgg16Error
from vgg16.records import EpochMetrics
from vgg16.storage import leases
from vgg16.storage.leases import LostLeaseError, hold
from vgg16.storage.publishing import fetch, publish
from vgg16.storage.store import FolderStore, Store
from vgg16.training import checkpoints
from vgg16.training.checkpoints import State
from vgg16.training.records import BEGINNING, Divergence, divergence_in_words


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(
        epoch=number,
        train_loss=1 / number,
        train_top1=0.5,
        val_loss=float("inf"),
        val_top1=0.5,
        learning_rate=0.1,
        at=number,
    )


def state(epochs: int, complete: bool = False) -> State:
    done = tuple(epoch(number) for number in range(1, epochs + 1))
    progress = BEGINNING.model_copy(update={"epochs": done, "best": 1, "seconds": (2.5,), "complete": complete})
    return State(progress, [np.full((3, 2), epochs, np.float32)], [np.array(epochs), np.ones(4)], [np.zeros(3)])


def quiet(_: str) -> None:
    pass


def test_a_state_is_read_from_the_bytes_that_were_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path / "store")
    with checkpoints.hold(store, "r1", quiet) as lease:
        checkpoints.save(store, "r1", state(3), lease)
    load = np.load

    def changed(file: Path, **options: Any) -> Any:
        (kept,) = store.folder.rglob("arrays.npz")
        np.savez(kept, **{f"{part} 00000": np.zeros((3, 2)) for part in ("variables", "optimizer", "best")})
        return load(file, **options)

    monkeypatch.setattr(np, "load", changed)
    loaded = checkpoints.load(store, "r1")
    assert loaded
    assert (loaded.variables[0] == 3).all()
    assert checkpoints.load(store, "r1") is None


def elsewhere(store: Store, folder: str, beat_at: float, generation: int = 1) -> leases.Owner:
    """A lease of a process on another machine."""
    owner = leases.Owner(host="other", place="other", pid=7, started=1.0, at=beat_at, token=f"t{generation}")
    store.create(f"{folder}/lease/{generation:06}.json", owner.model_dump_json().encode())
    beat(store, folder, beat_at, generation)
    return owner


def beat(store: Store, folder: str, at: float, generation: int = 1) -> None:
    key = f"{folder}/beats/{generation:06}"
    store.delete(key)
    store.create(key, json.dumps({"at": at, "released": False}).encode())


def test_of_many_takers_one_holds_the_lease_and_the_others_are_told_who(store: Store) -> None:
    taken: list[int] = []
    refused: list[str] = []
    ends = threading.Barrier(4)

    def take() -> None:
        try:
            with hold(store, "checkpoints/x") as lease:
                taken.append(lease.generation)
                ends.wait(60)
        except Vgg16Error as error:
            refused.append(str(error))
            ends.wait(60)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [1]
    assert len(refused) == 3
    assert all(f"process {os.getpid()} on " in message for message in refused)


def test_a_released_lease_is_taken_at_once(store: Store) -> None:
    for generation in (1, 2):
        with hold(store, "checkpoints/x") as lease:
            assert lease.generation == generation
            lease.check()


def test_the_lease_of_a_killed_process_of_this_machine_is_taken_at_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    child = multiprocessing.get_context("fork").Process(
        target=lambda: hold(store, "checkpoints/x").__enter__() and os.kill(os.getpid(), 9)
    )
    child.start()
    child.join()
    messages: list[str] = []
    start = time.monotonic()
    with hold(store, "checkpoints/x", messages.append) as lease:
        assert lease.generation == 2
    assert messages == []
    assert time.monotonic() - start < 5


def test_a_lease_of_another_machine_whose_last_beat_is_old_is_taken_at_once(store: Store) -> None:
    elsewhere(store, "checkpoints/x", time.time() - leases.LAPSE_SECONDS - 1)
    with hold(store, "checkpoints/x") as lease:
        assert lease.generation == 2


def test_a_lease_of_another_machine_that_beats_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.2)
    elsewhere(store, "checkpoints/x", time.time())
    later = threading.Timer(0.5, beat, (store, "checkpoints/x", time.time() + 1))
    later.start()
    messages: list[str] = []
    with (
        pytest.raises(Vgg16Error, match="process 7 on other, since") as refused,
        hold(store, "checkpoints/x", messages.append),
    ):
        pass
    assert refused.value.status == 1
    assert ["may have been killed" in message for message in messages] == [True]


def test_whatever_the_clock_of_another_machine_says_a_lease_that_falls_silent_lapses(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LAPSE_SECONDS", 0.5)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.1)
    elsewhere(store, "checkpoints/x", time.time() + 3600)
    with hold(store, "checkpoints/x") as lease:
        assert lease.generation == 2


def test_an_owner_that_was_taken_for_dead_stops_before_it_writes(store: Store) -> None:
    with hold(store, "checkpoints/r") as lost:
        checkpoints.save(store, "r", state(1), lost)
        elsewhere(store, "checkpoints/r", time.time(), lost.generation + 1)
        with pytest.raises(LostLeaseError, match="taken over by process 7 on other"):
            checkpoints.save(store, "r", state(2), lost)
    loaded = checkpoints.load(store, "r")
    assert loaded is not None
    assert len(loaded.progress.epochs) == 1
    # Nor is the other's lease released by the end of the lost one.
    assert json.loads(store.read("checkpoints/r/beats/000002") or "")["released"] is False


def test_what_was_kept_is_loaded_and_the_last_two_are_kept(store: Store) -> None:
    assert checkpoints.load(store, "r") is None
    with checkpoints.hold(store, "r", quiet) as lease:
        for epochs in (1, 2, 3):
            checkpoints.save(store, "r", state(epochs), lease)
    loaded, kept = checkpoints.load(store, "r"), state(3)
    assert loaded is not None
    assert loaded.progress == kept.progress
    for mine, theirs in zip(
        (*loaded.variables, *loaded.optimizer, *loaded.best),
        (*kept.variables, *kept.optimizer, *kept.best),
        strict=True,
    ):
        assert mine.dtype == theirs.dtype
        assert (mine == theirs).all()
    manifests = [key for key in store.keys("checkpoints/r/states/") if key.endswith("manifest.json")]
    assert manifests == [f"checkpoints/r/states/000001-00000{epochs}-00000000/manifest.json" for epochs in (2, 3)]


def test_a_loss_that_is_nan_or_infinite_is_kept_as_it_was(store: Store) -> None:
    nan, inf = float("nan"), float("inf")
    epochs = (epoch(1).model_copy(update={"train_loss": nan}),)
    divergence = Divergence(kind="loss", epoch=1, step=3, loss=nan)
    progress = BEGINNING.model_copy(update={"epochs": epochs, "divergence": divergence, "complete": True})
    with checkpoints.hold(store, "r", quiet) as lease:
        checkpoints.save(store, "r", replace(state(1), progress=progress), lease)
    loaded = checkpoints.load(store, "r")
    assert loaded is not None
    assert repr(loaded.progress) == repr(progress)
    assert np.isnan(loaded.progress.epochs[0].train_loss)
    assert loaded.progress.epochs[0].val_loss == inf
    assert loaded.progress.divergence
    assert divergence_in_words(loaded.progress.divergence) == "the loss became nan in epoch 1, step 3"


# What version 0.1 wrote: `cause` in words, "" for none.
OF_0_1 = """{"phase": 0, "tally": [0.0, 0, 0, 0, 0], "epochs": [{"epoch": 1, "train_loss": NaN, "train_top1": 0.2,
"val_loss": NaN, "val_top1": 0.5, "learning_rate": 0.1, "at": 1}], "best": 0, "seconds": [2.5], "stepping": 1.5,
"images": 20, "cause": "%s", "complete": true}"""


@pytest.mark.parametrize("cause", ["", "the loss became nan in epoch 1, step 2"])
def test_the_progress_that_0_1_wrote_is_read(cause: str, store: Store, tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text(OF_0_1 % cause)
    np.savez(tmp_path / "arrays.npz", **{"variables 00000": np.ones(2), "optimizer 00000": np.ones(3)})  # type: ignore[arg-type]
    publish(store, "checkpoints/r/states/000001-000001-00000000", tmp_path)
    loaded = checkpoints.load(store, "r")
    assert loaded is not None
    progress = loaded.progress
    assert (len(progress.epochs), progress.images, progress.complete) == (1, 20, True)
    assert progress.divergence == (Divergence(kind="other", epoch=1, text=cause) if cause else None)
    assert cause == (divergence_in_words(progress.divergence) if progress.divergence else "")


@pytest.mark.parametrize("missing", ["manifest.json", "arrays.npz", "progress.json"])
def test_half_a_checkpoint_is_passed_over(store: Store, missing: str) -> None:
    with checkpoints.hold(store, "r", quiet) as lease:
        checkpoints.save(store, "r", state(1), lease)
        checkpoints.save(store, "r", state(2), lease)
    store.delete(f"checkpoints/r/states/000001-000002-00000000/{missing}")
    loaded = checkpoints.load(store, "r")
    assert loaded is not None
    assert len(loaded.progress.epochs) == 1


def test_a_damaged_checkpoint_is_passed_over(store: Store, tmp_path: Path) -> None:
    with checkpoints.hold(store, "r", quiet) as lease:
        checkpoints.save(store, "r", state(1), lease)
        checkpoints.save(store, "r", state(2), lease)
    torn = tmp_path / "torn"
    torn.write_bytes(b"PK torn")
    store.upload(torn, "checkpoints/r/states/000001-000002-00000000/arrays.npz")
    loaded = checkpoints.load(store, "r")
    assert loaded is not None
    assert len(loaded.progress.epochs) == 1


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


# What may lie in a checkpoint under a right digest.
ARRAYS = {
    "nothing": b"",
    "no archive": b"PK torn",
    "no array": npz(),
    "other arrays": npz(weights=np.zeros(3)),
    "no optimizer": npz(**{"variables 00000": np.zeros(3), "best 00000": np.zeros(3)}),
    "no best": npz(**{"variables 00000": np.zeros(3), "optimizer 00000": np.zeros(3)}),
    "an object": npz(**{"variables 00000": np.array([{}], object)}),
    "half": npz(**{"variables 00000": np.zeros(999)})[:700],
}
PROGRESS = {"no JSON": b"{", "a list": b"[]", "another progress": b'{"phase": 1}', "no text": b"\xff\xfe"}


@pytest.mark.parametrize(
    ("name", "content"),
    [*(("arrays.npz", case) for case in ARRAYS.values()), *(("progress.json", case) for case in PROGRESS.values())],
    ids=[*ARRAYS, *PROGRESS],
)
def test_a_checkpoint_of_a_right_digest_with_other_content_is_passed_over(
    tmp_path: Path, name: str, content: bytes
) -> None:
    store = FolderStore(tmp_path / "store")
    with checkpoints.hold(store, "r", quiet) as lease:
        checkpoints.save(store, "r", state(1), lease)
        checkpoints.save(store, "r", state(2), lease)
    newest = "checkpoints/r/states/000001-000002-00000000"
    folder = tmp_path / "folder"
    shutil.copytree(store.folder / newest, folder)
    (folder / "manifest.json").unlink()
    (folder / name).write_bytes(content)
    publish(store, newest, folder, anew=True)
    fetch(store, newest, tmp_path)  # its digests are right
    loaded = checkpoints.load(store, "r")
    assert loaded is not None
    assert len(loaded.progress.epochs) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_damaged_beside_the_states_is_passed_over(store: Store, content: bytes) -> None:
    def put(key: str) -> None:
        store.delete(key)
        store.create(key, content)

    with checkpoints.hold(store, "r", quiet) as lease:
        checkpoints.save(store, "r", state(1), lease)
    for key in ("lease/000001.json", "lease/000007 (copy).json", "lease/notes.txt", "beats/000001", "run.json"):
        put(f"checkpoints/r/{key}")
    put("checkpoints/r/states/of another hand/manifest.json")
    put("checkpoints/r/states/000009-000009-00000000/manifest.json")
    for name in ("arrays.npz", "progress.json"):
        put(f"checkpoints/r/states/of another hand/{name}")
    assert checkpoints.noted_run(store, "r") == ""
    (left,) = checkpoints.unfinished(store)
    assert (left.lapsed, left.epochs) == (True, 1)
    loaded = checkpoints.load(store, "r")
    assert loaded is not None
    with checkpoints.hold(store, "r", quiet) as lease:
        assert lease.generation == 2
        put("checkpoints/r/beats/000002")
        lease.check()
        with pytest.raises(leases.BusyError), checkpoints.hold(store, "r", quiet):
            pass


def test_a_copy_of_a_store_is_nobodys_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LAPSE_SECONDS", 0.3)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.1)
    store, copy = FolderStore(tmp_path / "store"), FolderStore(tmp_path / "copy")
    told: list[str] = []
    with checkpoints.hold(store, "r", quiet) as lease:
        shutil.copytree(store.folder, copy.folder)
        with checkpoints.hold(copy, "r", told.append) as another:
            assert another.generation == 2
        lease.check()
    assert all("which may have been killed" in line for line in told)


def test_the_state_of_a_later_owner_counts_whatever_a_lost_one_still_wrote(store: Store) -> None:
    with checkpoints.hold(store, "r", quiet) as lost:
        checkpoints.save(store, "r", state(1), lost)
    with checkpoints.hold(store, "r", quiet) as lease:
        checkpoints.save(store, "r", state(2), lease)
    with checkpoints.hold(store, "r", quiet) as late:
        late.generation = 1
        checkpoints.save(store, "r", state(9), late)
    loaded = checkpoints.load(store, "r")
    assert loaded is not None
    assert len(loaded.progress.epochs) == 2


def test_what_is_unfinished_is_told_until_it_is_dropped(store: Store) -> None:
    assert checkpoints.unfinished(store) == []
    with checkpoints.hold(store, "r", quiet) as lease:
        checkpoints.note_run(store, "r", "ab12")
        checkpoints.save(store, "r", state(3), lease)
        (kept,) = checkpoints.unfinished(store)
        assert (kept.request, kept.lapsed, kept.epochs) == ("r", False, 3)
        assert f"process {os.getpid()} on" in kept.owner
        assert kept.bytes > 24
    assert checkpoints.unfinished(store)[0].lapsed
    assert checkpoints.noted_run(store, "r") == "ab12"
    checkpoints.drop(store, "r")
    assert store.keys("checkpoints/") == []
    assert checkpoints.unfinished(store) == []
    assert checkpoints.noted_run(store, "r") == ""
    with pytest.raises(LostLeaseError, match="ended by somebody else"):
        lease.check()


def test_a_checkpoint_waits_until_it_costs_little_and_the_last_is_always_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    kept: list[int] = []

    def slow(_: Store, __: str, made: State, ___: Any) -> None:
        now[0] += 2
        kept.append(len(made.progress.epochs))

    monkeypatch.setattr(checkpoints, "save", slow)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    keep = checkpoints.saver(store, "r", None, 1.0, quiet)  # type: ignore[arg-type]
    for done in range(1, 11):
        now[0] += 15
        keep(lambda done=done: state(done), "end" if done == 10 else "epoch")  # type: ignore[misc]
    assert kept == [1, 4, 7, 10]


def test_mid_epoch_a_checkpoint_is_written_after_so_many_minutes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    kept: list[float] = []
    monkeypatch.setattr(checkpoints, "save", lambda *_: kept.append(now[0]))
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    keep = checkpoints.saver(store, "r", None, 2.0, quiet)  # type: ignore[arg-type]
    for _ in range(30):
        now[0] += 10
        keep(lambda: state(1), "step")
    assert kept == [220, 340]


def test_training_goes_on_while_the_store_is_away_and_only_its_last_state_is_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([OSError("no route"), OSError("no route"), None, OSError("gone"), OSError("gone"), None])

    def save(*_: Any) -> None:
        if error := next(answers):
            raise error

    monkeypatch.setattr(checkpoints, "save", save)
    monkeypatch.setattr(checkpoints, "RETRY_SECONDS", 0.0)
    messages: list[str] = []
    keep = checkpoints.saver(store, "r", None, 1.0, messages.append)  # type: ignore[arg-type]
    monkeypatch.setattr(checkpoints, "MIN_INTERVAL_RATIO", 0)
    for done in range(1, 4):
        keep(lambda done=done: state(done), "epoch")  # type: ignore[misc]
    away, back = "the store does not take checkpoints: no route; training goes on without", "takes checkpoints again"
    assert messages[0] == away
    assert [back in message for message in messages] == [False, True]
    keep(lambda: state(4), "end")
    assert next(answers, "all tried") == "all tried"

    monkeypatch.setattr(checkpoints, "TRIES", 2)
    answers = iter([OSError("disk full")] * 2)
    with pytest.raises(Vgg16Error, match="does not take the last checkpoint: disk full"):
        keep(lambda: state(5), "end")


SAVING = """
import sys
from pathlib import Path
from tests.training.test_checkpoints import quiet, state
from vgg16.training import checkpoints
from vgg16.storage.store import FolderStore
store = FolderStore(Path(sys.argv[1]))
with checkpoints.hold(store, "r", quiet) as lease:
    for epochs in range(1, 100_000):
        checkpoints.save(store, "r", state(epochs), lease)
        print(epochs, flush=True)
"""


def test_after_a_kill_while_it_saves_the_newest_whole_state_is_loaded(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    root = Path(__file__).parents[2]
    for kills in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVING, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(5 + kills):
            process.stdout.readline()
        time.sleep(0.013 * kills)
        process.send_signal(signal.SIGKILL)
        saved = [int(line) for line in process.stdout.read().split()] or [5 + kills]
        process.wait()
        loaded = checkpoints.load(store, "r")
        assert loaded is not None
        assert len(loaded.progress.epochs) in (saved[-1], saved[-1] + 1)
        assert (loaded.variables[0] == len(loaded.progress.epochs)).all()
