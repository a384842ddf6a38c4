"""What is kept of watching a dataset's inbox: below `watch/NAME/MODEL/` a file for each day, alarm, message that was
passed on, and acceptance. Each is written once, whole or absent, so nothing is half done after a kill."""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from typing import Any, Literal, TypeVar

from vgg16.config.types import Frozen
from vgg16.errors import Vgg16Error
from vgg16.storage.store import ExistsError, Store


class Caps(Frozen):
    """What one day may take: pictures, and bytes of files. One picture may have a fortieth of the bytes."""

    pictures: int = 5_000
    bytes: int = 2_000_000_000

    @property
    def pixels(self) -> int:
        """Pixels that are decoded: photographs have three to ten for each byte, a decompression bomb thousands."""
        return 10 * self.bytes

    @property
    def of_one(self) -> Caps:
        """What one picture may take: a few huge ones leave room for others."""
        return Caps(pictures=1, bytes=self.bytes // 40)


class WatchRequest(Frozen):
    """The look of a day, YYYY-MM-DD, at the inbox `source` of a dataset, "" for `inbox/NAME` of the store: what that
    day may take, and from how many labelled images on a drift asks for a retraining, 0 for never."""

    dataset: str
    date: str
    source: str = ""
    caps: Caps = Caps()
    min_labelled: int = 0


class Alarm(Frozen):
    """The first alarm beside one reference: the day, the days of the window that alarmed, which facts moved, and where
    what to label first and the page are. `number` counts the references of a model, the gate's is 1."""

    number: int
    date: str
    window: tuple[str, ...]
    facts: tuple[str, ...]
    model: str
    folder: str
    page: str


class Acceptance(Frozen):
    """A person takes what alarmed for how pictures are from now on."""

    number: int
    date: str
    window: tuple[str, ...]
    by: str
    at: str


class Message(Frozen):
    """What is to be told of an alarm, once: the event `vgg16.EVENT`, whose `id` is the same whenever it is told again,
    with its `payload`. The file `key` is there once that was done."""

    event: Literal["drifted", "labels-came"]
    id: uuid.UUID
    key: str
    payload: dict[str, Any]


Record = TypeVar("Record", Alarm, Acceptance)


class Kept:
    """The records of a dataset and the model of a digest."""

    def __init__(self, store: Store, dataset: str, digest: str) -> None:
        self.store, self.dataset = store, dataset
        self.folder = f"watch/{dataset}/{digest[:16]}"

    def dates(self) -> list[str]:
        """The days of which there is a file, the first one first."""
        return sorted(match[1] for key in self.store.keys(f"{self.folder}/") if (match := _day(key)))

    def day_key(self, date: str) -> str:
        """The file of a day, YYYY-MM-DD."""
        return f"{self.folder}/{date}.npz"

    def last_before(self, date: str) -> list[str]:
        """The files of the last look before that of this day, whatever models were in production then, maybe on the
        same day."""
        keys = self.store.keys(f"watch/{self.dataset}/")
        days = {key: match[1] for key in keys if (match := _day(key)) and key != self.day_key(date)}
        last = max([day for day in days.values() if day <= date], default="")
        return [key for key, day in days.items() if day == last]

    def acceptances(self) -> list[Acceptance]:
        """All of them, the first one first."""
        made: list[Acceptance] = []
        while record := _read(self.store, self._key("accepted", len(made) + 1), Acceptance):
            made.append(record)
        return made

    def alarm(self, number: int) -> Alarm | None:
        """The alarm beside the reference of this number."""
        return _read(self.store, self._key("alarm", number), Alarm)

    def keep(self, record: Record) -> Record:
        """Keep it, or else what another process has kept in its place."""
        kind = "alarm" if isinstance(record, Alarm) else "accepted"
        key = self._key(kind, record.number)
        with suppress(ExistsError):
            self.store.create(key, record.model_dump_json(indent=1).encode())
        return _read(self.store, key, type(record)) or record

    def drifted(self, alarm: Alarm) -> Message:
        """That there is this alarm."""
        return self._message("drifted", self._key("alarm", alarm.number), self._key("told", alarm.number), {})

    def labels_came(self, alarm: Alarm, data: str, payload: dict[str, Any]) -> Message:
        """That after this alarm the dataset of the digest `data` has enough labels to retrain on."""
        key = f"{self.folder}/retrain-{alarm.number:06d}-{data[:16]}.json"
        return self._message("labels-came", key, key, payload)

    def is_told(self, message: Message) -> bool:
        """Whether it was passed on."""
        return self.store.read(message.key) is not None

    def _message(self, event: Literal["drifted", "labels-came"], of: str, key: str, payload: dict[str, Any]) -> Message:
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.store.address}/{of}")
        return Message(event=event, id=identity, key=key, payload=payload)

    def _key(self, kind: str, number: int) -> str:
        return f"{self.folder}/{kind}-{number:06d}.json"


def _day(key: str) -> re.Match[str] | None:
    return re.fullmatch(r"watch/[^/]+/[0-9a-f]+/(\d{4}-\d\d-\d\d)\.npz", key)


def _read(store: Store, key: str, kind: type[Record]) -> Record | None:
    content = store.read(key)
    if content is None:
        return None
    try:
        return kind.model_validate_json(content)
    except ValueError:
        raise Vgg16Error(f"{store.address}/{key} is damaged.", "Bring it back from a copy.") from None
