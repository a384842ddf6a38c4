"""An inbox is looked at once a day: a drift is told once, until the champion changes or a person accepts it."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import as_seen_by
from tests.data.test_folder import at_home
from tests.steps.test_drift import classifier, measuring, ref, scenes, workplace  # noqa: F401  # fixtures among them
from vgg16.checks.drift import day as day_file
from vgg16.checks.drift.reference import Reference
from vgg16.config.types import Dataset, Experiment
from vgg16.data import published
from vgg16.data.images import Arrays, Images
from vgg16.data.records import Fetched
from vgg16.errors import RequestError
from vgg16.promotion import ledger
from vgg16.promotion.records import LedgerEntry
from vgg16.records import DatasetRef
from vgg16.steps.drift.facts import Measuring
from vgg16.steps.drift.reference import reference_of
from vgg16.steps.scoring.model import Model
from vgg16.steps.watch import accept as accepting
from vgg16.steps.watch import result as results
from vgg16.steps.watch import watch as watching
from vgg16.steps.watch.inbox import arrivals, open_inbox
from vgg16.steps.watch.records import Caps, Kept, WatchRequest
from vgg16.steps.watch.result import Watched
from vgg16.storage.s3 import S3Store
from vgg16.storage.store import FolderStore
from vgg16.workplace.workplace import Workplace

pytestmark = pytest.mark.usefixtures("tensorflow")
Look = Callable[..., Watched]


@pytest.fixture(scope="module")
def reference(measuring: Measuring, ref: DatasetRef, workplace: Workplace) -> Reference:  # noqa: F811
    return reference_of(measuring, ref, workplace)


@pytest.fixture
def home(tmp_path: Path) -> Workplace:
    return at_home(tmp_path)


@pytest.fixture
def champion(monkeypatch: pytest.MonkeyPatch, home: Workplace, measuring: Measuring, reference: Reference) -> list[str]:  # noqa: F811
    """The digest of what is in production, without a registry."""
    digests = ["ab" * 32]

    def model(uri: str, _: Workplace) -> Model:
        return Model(uri, f"models:/vgg16-digits/{digests[0][:2]}", digests[0], False, None, 1.0, None)

    for module in (watching, accepting):
        monkeypatch.setattr(module, "find_model", model)
    monkeypatch.setattr(watching, "judged_on", lambda *_: (measuring, reference))
    registry = SimpleNamespace(champions=lambda: [SimpleNamespace(name="vgg16-digits")] if digests[0] else [])
    monkeypatch.setitem(vars(home), "tracker", SimpleNamespace(registry=registry))
    return digests


def put(home: Workplace, day: str, images: Images) -> None:
    folder = Path(home.store.address, "inbox", "digits", day)
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}.png")


def look(home: Workplace, day: int, min_labelled: int = 0, **caps: int) -> Watched:
    request = WatchRequest(dataset="digits", date=f"2026-11-{day:02}", caps=Caps(**caps), min_labelled=min_labelled)
    return watching.look_at_inbox(request, home)


def files(home: Workplace) -> dict[str, bytes]:
    """All records but the secret and the page, which has the time in it."""
    store = home.store
    keys = [key for key in store.keys("") if key.startswith(("watch/", "label-first/")) and not key.endswith(".key")]
    return {key: store.read(key) or b"" for key in keys}


@pytest.mark.usefixtures("champion")
def test_steady_days_alarm_nobody_and_an_empty_one_leaves_no_file(home: Workplace) -> None:
    assert look(home, 1).end == "Nothing new"
    with pytest.raises(RequestError, match=r"photos\.zip is no inbox"):
        watching.look_at_inbox(WatchRequest(dataset="digits", source="photos.zip", date="2026-11-01"), home)
    for day in (2, 3):
        put(home, str(day), scenes(150, day))
        seen = look(home, day)
        assert (seen.end, seen.new, seen.measured, seen.messages) == ("Steady", 150, 150, ())
        assert seen.estimate
    assert look(home, 4).end == "Nothing new"
    assert len(files(home)) == 2


@pytest.mark.usefixtures("champion")
def test_windows_are_days_of_the_calendar_and_a_drift_stands_when_they_are_empty(home: Workplace) -> None:
    for day, window in ((1, 1), (3, 1), (7, 7), (13, 7)):
        put(home, str(day), scenes(150, day))
        assert (look(home, day).end, look(home, day).days) == ("Steady", window)
    quiet = look(home, 25)
    assert (quiet.end, quiet.days) == ("Nothing new", 0)
    put(home, "26", scenes(150, 26, light=60))
    alarmed = look(home, 26)
    assert (alarmed.end, alarmed.days) == ("Drifted", 1)
    later = watching.look_at_inbox(WatchRequest(dataset="digits", date="2026-12-31"), home)
    assert (later.end, later.alarm, later.messages) == ("Drifted", alarmed.alarm, alarmed.messages)


def test_a_drift_is_told_once_until_it_is_accepted_or_the_champion_changes(
    home: Workplace, champion: list[str]
) -> None:
    put(home, "1", scenes(150, 1, light=60))
    first = look(home, 1)
    (told,) = first.messages
    assert (first.end, told.event) == ("Drifted", "drifted")
    assert "brightness" in first.moved
    assert first.alarm
    listed = (Path(first.alarm.folder) / "list.csv").read_text().splitlines()
    assert len(listed) == 1 + len(first.label_first) == 1 + len([*Path(first.alarm.folder).glob("*.png")])
    assert first.alarm.folder in Path(first.page).read_text()
    # Killed between telling and marking it: the same event.
    assert look(home, 1).messages == (told,)
    results.mark_told(told, home)
    results.mark_told(told, home)
    for day in (2, 3):
        put(home, str(day), scenes(150, day, light=60))
        again = look(home, day)
        assert (again.end, again.messages, again.alarm) == ("Drifted", (), first.alarm)
    put(home, "4", scenes(150, 4))  # steady again: nobody has accepted it
    assert look(home, 4).end == "Drifted"
    accepted, new = accepting.accept("digits", home)
    assert (accepted.window, new) == (("2026-11-01",), True)
    assert accepting.accept("digits", home) == (accepted, False)
    assert [one["finding"] for one in accepting.accepted("digits", home)] == ["drift of 2026-11-01"]
    put(home, "5", scenes(150, 5, light=60))
    later = look(home, 5)
    # Days since count beside the new reference; the last of them is like it.
    assert (later.alarm, later.end, later.estimate) == (None, "Steady", None)
    put(home, "6", scenes(150, 6))
    back = look(home, 6)
    assert back.alarm
    assert (back.alarm.number, [one.id != told.id for one in back.messages]) == (2, [True])
    # What was looked at for one champion is not new to the next, on the same day neither.
    champion[0] = "ef" * 32
    assert (look(home, 6).end, look(home, 6).new) == ("Nothing new", 0)
    put(home, "7", scenes(150, 7))
    other = look(home, 7)
    assert (other.end, other.alarm, other.new) == ("Steady", None, 150)
    champion[0] = ""
    assert "in production" in look(home, 8).why


@pytest.mark.usefixtures("champion")
def test_what_an_earlier_version_measured_and_a_person_accepted_still_counts(home: Workplace) -> None:
    put(home, "1", scenes(150, 1, light=60))
    assert look(home, 1).alarm
    put(home, "2", scenes(150, 2, light=60))
    assert look(home, 2).end == "Drifted"
    accepting.accept("digits", home)
    for key in [key for key in home.store.keys("watch/") if key.endswith(".npz")]:
        day = day_file.read(home.store.read(key) or b"")
        assert day
        fewer = tuple(name for name in day.facts.names if name != "fine_detail" and not name.startswith("highlights"))
        assert len(fewer) == len(day.facts.names) - 3
        home.store.delete(key)
        home.store.create(key, day_file.content_of(replace(day, facts=day.facts.only(fewer))))
    put(home, "3", scenes(150, 3, light=60))
    later = look(home, 3)
    assert (later.end, later.alarm, later.days) == ("Steady", None, 1)
    assert "fine_detail" not in Path(later.page).read_text()
    put(home, "8", scenes(150, 8, light=60))
    assert (look(home, 8).end, look(home, 8).days) == ("Steady", 7)  # the second day is among them
    put(home, "9", scenes(150, 9))
    back = look(home, 9)
    assert back.alarm
    assert (back.alarm.number, back.days) == (2, 1)


def test_labels_that_came_ask_for_a_retraining_once_for_each_version_of_the_dataset(
    home: Workplace, champion: list[str], tiny: Experiment
) -> None:
    row = Dataset(name="digits", description="", class_names=("a", "b"), image_size=16)

    def publish(gate: int) -> DatasetRef:
        """A version with so many images of gate, and as many in each other split."""
        count = 4 * gate
        splits = np.arange(count, dtype=np.int8) % 4
        data = published.save(home.store, row, Arrays(images[:count], np.arange(count) % 2, splits, ("a", "b")))
        published.remember(home.store, Fetched(dataset=data, source="", sha256="", at=""), home.home)
        return data

    images = scenes(60, 0, light=30)
    run = SimpleNamespace(trained_on=publish(10))
    version = SimpleNamespace(name="vgg16-digits", version="3", run_id="r")
    vars(home.tracker).update(
        runs=SimpleNamespace(get=lambda _: run),
        results=SimpleNamespace(experiment=lambda _: tiny, bases=lambda _: {"base": tiny}),
    )
    vars(home.tracker.registry).update(version=lambda *_: version, version_at=lambda _: version)
    publish(14)
    put(home, "1", scenes(150, 1))
    assert look(home, 1, min_labelled=1).messages == ()  # nothing drifted
    put(home, "2", scenes(150, 2, light=60))
    for least, said in ((0, ""), (5, "waits for 5 newly labelled gate images, of which 4 came")):
        result = look(home, 2, min_labelled=least)
        assert [message.event for message in result.messages] == ["drifted"]
        assert said in result.text
    result = look(home, 2, min_labelled=4)
    assert "4 newly labelled gate images came: tiny is trained on them and judged" in result.text
    _, asked = result.messages
    assert (asked.event, asked.payload["experiments"]) == ("labels-came", [tiny.model_dump(mode="json")])
    assert asked.payload["bases"] == {"base": tiny.model_dump(mode="json")}
    assert look(home, 2, min_labelled=4).messages == result.messages  # as after a kill
    for message in result.messages:
        results.mark_told(message, home)
    # Pictures without labels come, and ask for nothing.
    put(home, "3", scenes(150, 3, light=60))
    quiet = look(home, 3, min_labelled=4)
    assert quiet.messages == ()
    assert "4 newly labelled gate images came: a retraining was asked for" in quiet.text
    publish(15)
    (again,) = look(home, 3, min_labelled=4).messages
    assert (again.event, again.id != asked.id) == ("labels-came", True)
    # A champion that has learned from all of them.
    run.trained_on, champion[0] = publish(15), "ef" * 32
    put(home, "4", scenes(150, 4, light=60))
    assert look(home, 4, min_labelled=1).messages[1:] == ()


def test_after_a_retraining_the_kinds_that_the_gate_has_are_no_drift_in_any_share(
    home: Workplace,
    champion: list[str],
    measuring: Measuring,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = Dataset(name="digits", description="", class_names=("a", "b"), image_size=16)

    def publish(images: Images) -> DatasetRef:
        """A version whose gate is every other image."""
        splits = np.where(np.arange(len(images)) % 2, 2, 0).astype(np.int8)
        return published.save(home.store, row, Arrays(images, np.arange(len(images)) % 2, splits, ("a", "b")))

    before, brighter = scenes(1_400, 0), scenes(240, 1, light=60)
    versions = {str(number): publish(np.concatenate([before, brighter[:came]])) for number, came in ((1, 0), (2, 190))}
    versions["3"] = publish(np.concatenate([before, brighter]))
    vars(home.tracker).update(runs=SimpleNamespace(get=lambda run_id: SimpleNamespace(trained_on=versions[run_id])))
    vars(home.tracker.registry).update(version=lambda _, version: SimpleNamespace(run_id=version))
    monkeypatch.setattr(
        watching, "judged_on", lambda model, _, home: (measuring, reference_of(measuring, model.dataset, home))
    )
    original = watching.Kept.last_before
    # On the first day the same pictures come to each version.
    monkeypatch.setattr(
        watching.Kept, "last_before", lambda kept, date: [] if date.endswith("-01") else original(kept, date)
    )

    def in_production(number: str) -> None:
        champion[0] = number * 64
        home.store.delete(f"drift/{measuring.digest}.npz")  # all versions are one model here
        entry = LedgerEntry(
            number=len(ledger.entries(home.store, "vgg16-digits")) + 1,
            name="vgg16-digits",
            action="promote",
            version=number,
            previous="",
            by="me",
            at="now",
            verdict="promote",
            reasons=("good",),
        )
        ledger.append(home.store, entry)
        version = SimpleNamespace(name="vgg16-digits", version=number)
        model = Model("", f"models:/vgg16-digits/{number}", champion[0], False, version, 1.0, versions[number])  # type: ignore[arg-type]
        monkeypatch.setattr(watching, "find_model", lambda *_: model)

    put(home, "1", scenes(150, 2, light=60))
    for number in ("1", "2"):  # 95 newer images of gate are too few
        in_production(number)
        assert look(home, 1).alarm
    in_production("3")  # so are the 25 that version 2 had not
    like = look(home, 1)
    assert (like.end, like.alarm, like.estimate, like.moved) == ("Steady", None, None, ())
    assert "unlike the gate as a whole, but like images of gate, 100% of them newer than version 1" in like.text
    page = Path(like.page).read_text()
    assert "150 pictures beside 120 images of gate, 100% of them newer than version 1: nothing moved" in page
    put(home, "2", scenes(80, 3))
    assert look(home, 2).end == "Steady"  # and like the others of the gate
    put(home, "3", np.concatenate([scenes(100, 5), scenes(100, 6, light=60)]))
    half = look(home, 3)
    assert (half.end, half.like) == ("Steady", "of gate, 50% of them newer than version 1")
    put(home, "4", scenes(150, 4, light=-60))
    fourth = look(home, 4)
    assert fourth.alarm
    assert (fourth.end, fourth.alarm.window, fourth.like) == ("Drifted", ("2026-11-04",), "")


def test_a_drift_is_kept_or_nothing_is_decided(home: Workplace, champion: list[str]) -> None:
    for findings, action in ((("drift",), "drop"), (("drift", "a.png"), "keep"), (("drift",), "")):
        with pytest.raises(RequestError):
            accepting.check_request(findings, action, "digits")
    with pytest.raises(RequestError, match="No drift of digits stands"):
        accepting.accept("digits", home)
    assert champion


@pytest.mark.usefixtures("champion")
def test_a_day_that_is_cut_off_at_any_write_and_repeated_is_there_once(
    home: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = watching.label_first
    monkeypatch.setattr(watching, "label_first", lambda before, now: original(before, now, 2))
    put(home, "1", scenes(60, 1, light=90))
    look(home, 1)
    whole = files(home)
    for after in (False, True):
        for write in range(1, len(whole) + 2):  # and the page
            for key in whole:
                home.store.delete(key)
            left = [write]
            with monkeypatch.context() as patch:
                for name in ("create", "upload"):
                    patch.setattr(FolderStore, name, _cut_off(getattr(FolderStore, name), left, after=after))
                with pytest.raises(KeyboardInterrupt):
                    look(home, 1)
            assert look(home, 1).messages
            assert files(home) == whole


def _cut_off(original: Callable[..., Any], left: list[int], *, after: bool) -> Callable[..., Any]:
    def counted(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] or after:
            original(*arguments)
        if not left[0]:
            raise KeyboardInterrupt

    return counted


def bomb(side: int) -> bytes:
    """A PNG of so many pixels squared in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.usefixtures("champion")
def test_what_attackers_upload_is_counted_within_the_caps(home: Workplace, tmp_path: Path) -> None:
    put(home, "good", scenes(60, 1, light=90))
    inbox = Path(home.store.address, "inbox", "digits")
    for number in range(240):
        (inbox / f"{number}.png").write_bytes((b"no picture", bomb(50_000), b"")[number % 3])
    secret = tmp_path / "secret.png"
    Image.fromarray(scenes(1, 9)[0]).save(secret)
    (inbox / "link.png").symlink_to(secret)
    good = io.BytesIO()
    Image.fromarray(scenes(1, 8, light=90)[0]).save(good, "PNG")
    for name in ("=cmd|x.png", "a\nb.png", "\u202egnp.png", "x" * 240 + ".png", "<script>.png", "..png.png"):
        (inbox / name).write_bytes(good.getvalue())
    (inbox / "large.png").write_bytes(good.getvalue() + bytes(60_000))
    (inbox / "wide.png").write_bytes(bomb(710))  # one picture may have a fortieth of 20 million pixels
    for number in range(60):
        (inbox / f"damaged {number}.png").write_bytes(bomb(700))
    seen = look(home, 1, bytes=2_000_000)
    assert seen.new == 369 - 1  # a name that begins with a dot is nobody's
    # Of the last ones 40 have 19.6 million pixels, the good ones together less than another's 490,000.
    assert (seen.unreadable, seen.left_out) == (242 + 1 + 40, 20)
    assert seen.measured == 65
    assert seen.end == "Drifted"
    assert seen.alarm
    listed = (Path(seen.alarm.folder) / "list.csv").read_text()
    assert "\u202e" not in listed
    assert all(row.partition(",")[2][:1] not in ("=", "+") for row in listed.splitlines())
    assert "<script>.png" not in Path(seen.page).read_text()
    assert all(len(path.name) < 20 for path in Path(seen.alarm.folder).iterdir())
    assert "\n" not in results.in_markdown(seen).partition("\n1. ")[2].partition("\n\n")[0].replace("\n1. ", "")
    # Capped: what is left out is told, and does not wait for the next day.
    capped = replace(seen, new=0)
    home.store.delete(next(key for key in home.store.keys("watch/") if key.endswith(".npz")))
    capped = look(home, 1, pictures=100)
    assert (capped.measured + capped.unreadable, capped.left_out) == (100, 268)
    assert "268 left out by the caps of a day" in capped.text
    assert look(home, 2, pictures=100).new == 0


def test_an_inbox_in_s3_is_listed_and_a_change_is_new(
    s3: S3Store, home: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in as_seen_by(s3).items():
        monkeypatch.setenv(name, value)
    address = f"s3://{s3.bucket}/{home.home.name}/inbox"
    assert open_inbox(address, "digits", home) is None
    for name in ("a.png", "b.png"):
        s3.client.put_object(Bucket=s3.bucket, Key=f"{home.home.name}/inbox/{name}", Body=b"x")
    place = open_inbox(address, "digits", home)
    first = arrivals(place, set(), b"k", Caps())
    assert (first.new, sorted(file.path for file in first.drawn)) == (2, ["a.png", "b.png"])
    s3.client.put_object(Bucket=s3.bucket, Key=f"{home.home.name}/inbox/b.png", Body=b"y")
    later = arrivals(place, {row.tobytes() for row in first.seen}, b"k", Caps())
    assert [file.path for file in later.drawn] == ["b.png"]


def test_records_that_were_written_before_are_read(home: Workplace) -> None:
    kept = Kept(home.store, "digits", "ab" * 32)
    written = {
        "alarm": {
            "number": 1,
            "date": "2026-11-02",
            "window": ["2026-11-02"],
            "facts": ["brightness"],
            "model": "models:/vgg16-digits/1",
            "folder": "s3://b/label-first/digits/2026-11-02",
            "page": "s3://b/docs/watch-digits.html",
        },
        "accepted": {"number": 1, "date": "2026-11-02", "window": ["2026-11-02"], "by": "me", "at": "2026-11-03T08:00"},
    }
    for kind, record in written.items():
        home.store.create(f"watch/digits/{'ab' * 8}/{kind}-000001.json", json.dumps(record).encode())
    home.store.create(f"watch/digits/{'ab' * 8}/told-000001.json", b"{}\n")
    alarm = kept.alarm(1)
    assert alarm
    assert alarm.facts == ("brightness",)
    assert kept.is_told(kept.drifted(alarm))
    assert [one.by for one in kept.acceptances()] == ["me"]
