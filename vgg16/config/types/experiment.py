"""The whole of what is asked for: experiments, and studies of several."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vgg16.config.types.dataset import DatasetChoice
from vgg16.config.types.frozen import Frozen
from vgg16.config.types.gate import GateRules
from vgg16.config.types.network import BackboneChoice, Head
from vgg16.config.types.training import Augmentation, Device, Phase, Precision


class Experiment(Frozen):
    """One row: dataset + backbone + head + phases + gate.

    `base` is what fine-tuning starts from: `imagenet`, an experiment of the catalog, a registered model such as
    `models:/vgg16-glyphs/1`, or a weights file, by its path or s3 address; without it the weights start at random.
    `image_size` is the side that images are resized to inside the model, None for their own. `normalization` of the
    pixels before the network: `weights` as the base was trained with, `dataset` by mean and standard deviation of the
    training images, `raw` 0 to 255 as they are; `auto` is `weights` where there is a base, else `dataset`. `precision`
    is that of training, `auto` the fastest of the device; the saved model is float32. `device`: `gpu` refuses to train
    without; `replicas` devices share each batch. `reproducible`: the same request gives the same weights bit by bit,
    interrupted or not; slower on a GPU. `score_test`: `test` is kept for what is promoted, or `always` looked at, for a
    report on several recipes.
    """

    name: str
    description: str
    dataset: DatasetChoice
    backbone: BackboneChoice = BackboneChoice()
    head: Head = Head()
    base: str | None = Field(default=None, min_length=1)
    image_size: int | None = Field(default=None, ge=8, le=1024)
    phases: tuple[Phase, ...] = Field(default=(Phase(),), min_length=1)
    batch_size: int = Field(default=64, ge=1)
    loss: Literal["sparse_categorical_crossentropy", "categorical_crossentropy"] = "sparse_categorical_crossentropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    gate: GateRules = GateRules()
    seed: int = Field(default=1, ge=0, lt=2**31)
    normalization: Literal["auto", "weights", "dataset", "raw"] = "auto"
    precision: Literal["auto", Precision] = "float32"
    device: Device = "auto"
    replicas: int = Field(default=1, ge=1)
    reproducible: bool = False
    score_test: Literal["promoted", "always"] = "promoted"

    @model_validator(mode="after")
    def _smoothing_needs_vectors(self) -> Experiment:
        if self.label_smoothing and self.loss != "categorical_crossentropy":
            raise ValueError("label_smoothing needs loss=categorical_crossentropy, whose labels are vectors")
        return self

    @model_validator(mode="after")
    def _normalization_of_weights_needs_weights(self) -> Experiment:
        if self.normalization == "weights" and self.base is None:
            raise ValueError("normalization=weights needs a base, whose weights were trained with it")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)


class Question(Frozen):
    """One question of a study: its `members`; or the best on `val` of an earlier question, `best_of`, trained again
    under this question's name with these `settings`, each KEY=VALUE. `compared` are pairs whose difference
    its report gives: members, or questions for the best one of each."""

    name: str
    members: tuple[Experiment, ...] = ()
    best_of: str = ""
    settings: tuple[str, ...] = ()
    compared: tuple[tuple[str, str], ...] = ()


class Study(Frozen):
    """One row: questions, and the language of the report that answers them."""

    name: str
    description: str
    questions: tuple[Question, ...] = Field(min_length=1)
    language: Literal["en", "fr"] = "en"

    @property
    def members(self) -> tuple[Experiment, ...]:
        """The members of all questions, but those that follow from an answer."""
        return tuple(member for question in self.questions for member in question.members)
