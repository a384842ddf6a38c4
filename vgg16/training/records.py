"""Facts of a training: the sums of its steps, how far it came, why it diverged and what is wrong inside the network.

They stay facts until a person reads them: `divergence_in_words` is the one place that words them.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import model_validator

from vgg16.config.types import Frozen, Precision
from vgg16.records import EpochMetrics


class Tally(NamedTuple):
    """Sums over the images of some steps: their losses in nats, the correct answers, how many images. Then how many
    steps, and which of them first had a loss that is NaN or infinite, from 1 on; 0 for none."""

    loss: float = 0.0
    correct: int = 0
    images: int = 0
    steps: int = 0
    broken_step: int = 0

    @property
    def mean_loss(self) -> float:
        """The mean loss of an image, nats."""
        return self.loss / self.images

    @property
    def top1(self) -> float:
        """The share of correct answers, 0 to 1."""
        return self.correct / self.images


class Divergence(Frozen):
    """Why a training diverged. `kind`: a `loss` of the training steps or a `val_loss` that is NaN or infinite;
    `weights` that are; an accuracy that is `stuck` at chance; `other` in what version 0.1 wrote, whose own words are
    the `text`.

    `epoch` is the one in which it showed; of `stuck`, the epochs trained. `step`, from 1 on, is the first of the epoch
    with a broken loss, and `loss` the mean loss as it was. Of `stuck`: the `best` top-1 on train or val, and the
    `chance` of always answering the commonest class, both 0 to 1.
    """

    kind: Literal["loss", "val_loss", "weights", "stuck", "other"]
    epoch: int
    step: int = 0
    loss: float | None = None
    best: float = 0.0
    chance: float = 0.0
    text: str = ""


class Progress(Frozen):
    """How far a training has come: all that changes while it runs, beside the weights. It is replaced, never changed.

    `phase` counts from 0. `tally`: the sums of the epoch under way; `epochs`: all that ended; `best`: the number of the
    best one, 0 where there is none. `seconds`: wall time of each phase begun; `stepping`: seconds in training steps,
    and `images`: how many these took. `complete`: nothing is left to train, as all epochs are done or it diverged.
    """

    phase: int
    tally: Tally
    epochs: tuple[EpochMetrics, ...]
    best: int
    seconds: tuple[float, ...]
    stepping: float
    images: int
    divergence: Divergence | None
    complete: bool

    @model_validator(mode="before")
    @classmethod
    def _read_0_1(cls, values: Any) -> Any:
        """Version 0.1 kept a `cause` in words, "" for none."""
        if not isinstance(values, dict) or "cause" not in values:
            return values
        text, epochs = values["cause"], values.get("epochs", ())
        divergence = {"kind": "other", "epoch": len(epochs), "text": text} if text else None
        return {name: value for name, value in values.items() if name != "cause"} | {"divergence": divergence}

    @property
    def best_epoch(self) -> EpochMetrics | None:
        """The best epoch so far."""
        return self.epochs[self.best - 1] if self.best else None


BEGINNING = Progress(
    phase=0, tally=Tally(), epochs=(), best=0, seconds=(), stepping=0.0, images=0, divergence=None, complete=False
)


class Diagnosis(Frozen):
    """What is wrong inside a network that does not learn. `broken`: layers with a weight that is NaN or infinite; of
    such a network nothing else is examined. `units`: ReLU channels and units; `dead`: those that are 0 for every image;
    `silent`: the first layer in which all are, "" for none. `answer`: the commonest one, and the `share` of the images
    that get it, 0 to 1."""

    broken: tuple[str, ...] = ()
    units: int = 0
    dead: int = 0
    silent: str = ""
    answer: str = ""
    share: float = 0.0

    @property
    def mostly_dead(self) -> bool:
        """Whether a whole layer is dead, or most units are: a few are in networks that learn well, too."""
        return bool(self.silent) or self.dead > self.units / 2

    @property
    def one_answer(self) -> bool:
        """Whether nearly all images, 9 of 10, get the same answer."""
        return self.share >= 0.9


class TrainingResult(Frozen):
    """How training ended; one that diverged has a `divergence` and a `diagnosis`. `best_epoch` is the one whose weights
    the model carries, 0 where none was finite; `seconds` are wall time, validation included, also of each phase by
    itself; `images_per_s` is the rate of the training steps alone; `peak_memory_megabytes` (10^6 bytes) of the GPU that
    held most, else of the process so far; `precision` is what was computed in, `device` what did; `temperature` is what
    the model's logits were divided by after training, so that its confidence fits `val`."""

    status: Literal["finished", "diverged"]
    divergence: Divergence | None = None
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


def divergence_in_words(divergence: Divergence, diagnosis: Diagnosis | None = None) -> str:
    """Why a training diverged and what is wrong inside the network, in English, parts joined by `; `."""
    return "; ".join([_cause(divergence), *(_findings(diagnosis) if diagnosis else [])])


def _cause(divergence: Divergence) -> str:
    epoch = divergence.epoch
    match divergence.kind:
        case "loss":
            return f"the loss became {divergence.loss} in epoch {epoch}, step {divergence.step}"
        case "val_loss":
            return f"the loss on val became {divergence.loss} in epoch {epoch}"
        case "weights":
            return f"weights became infinite or nan in epoch {epoch}"
        case "stuck":
            return (
                f"accuracy stuck at chance: at most {divergence.best:.3f} in {epoch} epochs, and always answering the "
                f"commonest class gives {divergence.chance:.3f}"
            )
        case "other":
            return divergence.text


def _findings(diagnosis: Diagnosis) -> list[str]:
    """What is wrong, a phrase each; [] where nothing is."""
    if diagnosis.broken:
        return [f"weights of {len(diagnosis.broken)} layers are infinite or nan, from {diagnosis.broken[0]} on"]
    phrases = []
    if diagnosis.mostly_dead:
        among = f", all of {diagnosis.silent} among them" if diagnosis.silent else ""
        phrases.append(f"{diagnosis.dead} of {diagnosis.units} rectified units answer 0 to every image of val{among}")
    if diagnosis.one_answer:
        phrases.append(f"{diagnosis.share:.0%} of val are answered {diagnosis.answer!r}")
    return phrases
