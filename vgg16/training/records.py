"""Facts of a training: the sums of its steps, what is wrong inside a network, and how it ended."""

from __future__ import annotations

from typing import Literal, NamedTuple

from vgg16.config.types import Frozen, Precision
from vgg16.records import EpochMetrics


class Tally(NamedTuple):
    """Sums over the images of some steps: their losses in nats, right answers, and how many they are; how many steps,
    and which of them first had a loss that is no number, from 1 on, 0 for none."""

    loss: float = 0.0
    right: int = 0
    images: int = 0
    steps: int = 0
    broken: int = 0

    @property
    def mean_loss(self) -> float:
        """The loss of one image, nats."""
        return self.loss / self.images

    @property
    def top1(self) -> float:
        """The share that is answered right."""
        return self.right / self.images


class Diagnosis(Frozen):
    """What is wrong inside a network that does not learn. `broken`: layers of which a weight is no finite number.
    `units`: rectified channels and units; `dead`: those that answer 0 to every image; `silent`: the first layer of
    which all do, "" for none. `answer`: the commonest one, and the `share` of the images that are given it. Of a
    network with broken weights only those are told."""

    broken: tuple[str, ...] = ()
    units: int = 0
    dead: int = 0
    silent: str = ""
    answer: str = ""
    share: float = 0.0

    @property
    def mostly_dead(self) -> bool:
        """Whether a whole layer, or more than half of all units, answer 0 to every image; a few are dead in networks
        that learn well, too."""
        return bool(self.silent) or self.dead > self.units / 2

    @property
    def one_answer(self) -> bool:
        """Whether nearly all images are given the same answer."""
        return self.share >= 0.9

    @property
    def words(self) -> str:
        """The diagnosis in words, "" where nothing is wrong."""
        if self.broken:
            return f"weights of {len(self.broken)} layers are infinite or nan, from {self.broken[0]} on"
        told = []
        if self.silent or self.dead > self.units / 2:  # a few are dead in networks that learn well, too
            where = f", all of {self.silent} among them" if self.silent else ""
            told.append(f"{self.dead} of {self.units} rectified units answer 0 to every image of val{where}")
        if self.share >= 0.9:
            told.append(f"{self.share:.0%} of val are answered {self.answer!r}")
        return "; ".join(told)


class Divergence(Frozen):
    """How training diverged. `epoch` and `step`: where the `loss`, that on val or a weight became NaN or infinite. Of
    kind `stuck`: the `best` top-1 on train or val in `epoch` epochs, where always answering the commonest class gives
    `chance`. Of kind `other`, which version 0.1 logged: its words, those of the diagnosis among them, in `text`."""

    kind: Literal["loss", "val_loss", "weights", "stuck", "other"]
    epoch: int
    step: int = 0
    loss: float | None = None
    best: float = 0.0
    chance: float = 0.0
    text: str = ""


class TrainingResult(Frozen):
    """How training ended; one that diverged has a `diagnosis`. `best_epoch` is the one whose weights the model carries,
    0 where none was finite; `seconds` are wall time, validation included, also of each phase by itself; `images_per_s`
    is the rate of the training steps alone; `peak_memory_megabytes` (10^6 bytes) of the GPU that held most, else of the
    process so far; `precision` is what was computed in, `device` what did; `temperature` is what the model's logits
    were divided by after training, so that its confidence fits `val`."""

    status: Literal["finished", "diverged"]
    cause: str = ""
    diagnosis: Diagnosis | None = None
    best_epoch: int = 0
    best_val_top1: float = 0.0
    seconds: float
    seconds_of_phases: tuple[float, ...]
    images_per_s: float
    peak_memory_megabytes: float
    device: str
    precision: Precision
    temperature: float = 1.0
    epochs: tuple[EpochMetrics, ...]
