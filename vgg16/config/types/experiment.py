"""The whole of what is asked for: experiments, and studies of several."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vgg16.config.types.dataset import DatasetChoice
from vgg16.config.types.frozen import OrNone, Setting
from vgg16.config.types.gate import GateRules
from vgg16.config.types.network import BackboneChoice, Head
from vgg16.config.types.training import Augmentation, Device, Phase, Precision


class Experiment(Setting):
    """One row: dataset + backbone + head + phases + gate."""

    name: str
    """What it is called; models of a dataset share its name, not the experiment's."""
    description: str
    """One line for people."""
    dataset: DatasetChoice
    """Which images, and how many of them."""
    backbone: BackboneChoice = BackboneChoice()
    """The convolutional base."""
    head: Head = Head()
    """What follows the base."""
    base: Annotated[str | None, OrNone] = Field(default=None, min_length=1)
    """What fine-tuning starts from: imagenet, an experiment, a registered model such as models:/vgg16-glyphs/1, or a
    weights file by its path or s3:// address; none for random weights."""
    image_size: Annotated[int | None, OrNone] = Field(default=None, ge=8, le=1024)
    """Pixels of the side that images are resized to, inside the model; none for the dataset's own."""
    phases: tuple[Phase, ...] = Field(default=(Phase(),), min_length=1)
    """Stretches of training, one after the other."""
    batch_size: int = Field(default=64, ge=1, le=1_000_000)
    """Images of a training step."""
    loss: Literal["sparse_categorical_crossentropy", "categorical_crossentropy"] = "sparse_categorical_crossentropy"
    """Keras' loss: of labels as whole numbers, or as vectors."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of a label that is spread over all classes; needs loss=categorical_crossentropy."""
    balance_classes: bool = False
    """Learn classes of unequal size as if all were equally common: in training, each class's probability is multiplied
    by its share of the training images (logit adjustment, arXiv 2007.07314)."""
    augmentation: Augmentation = Augmentation()
    """Random changes of training images."""
    gate: GateRules = GateRules()
    """What a challenger must show."""
    seed: int = Field(default=1, ge=0, lt=2**31)
    """Of first weights, order, augmentation and dropout; splits do not depend on it."""
    normalization: Literal["auto", "weights", "dataset", "raw"] = "auto"
    """Pixels before the network: weights, as the base was trained with; dataset, by mean and deviation of the training
    images; raw, 0 to 255; auto is weights where there is a base, else dataset."""
    precision: Literal["auto", Precision] = "float32"
    """Of training: auto is the fastest of the device. The saved model is float32."""
    device: Device = "auto"
    """gpu refuses to train without one; auto takes what there is."""
    replicas: int = Field(default=1, ge=1, le=1024)
    """GPUs of this machine that share each batch."""
    reproducible: bool = False
    """The same request gives the same weights bit by bit, interrupted or not; slower on a GPU."""
    score_test: Literal["promoted", "always"] = "promoted"
    """promoted keeps test for what is promoted; always scores every member, for a report on several recipes."""

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


class Question(Setting):
    """One question of a study: its own members, or one that follows from the best member of an earlier question."""

    name: str
    """What the question is called."""
    members: tuple[Experiment, ...] = ()
    """The experiments that answer it."""
    best_of: str = ""
    """An earlier question, whose best member on val is trained again under this question's name."""
    settings: tuple[str, ...] = ()
    """With best_of: what it is trained with, each KEY=VALUE."""
    compared: tuple[tuple[str, str], ...] = ()
    """Pairs whose difference the report gives: members, or questions for the best member of each."""


class Study(Setting):
    """One row: questions, and the language of the report that answers them."""

    name: str
    """What it is called."""
    description: str
    """One line for people."""
    questions: tuple[Question, ...] = Field(min_length=1)
    """What is asked, in this order."""
    language: Literal["en", "fr"] = "en"
    """Of the report."""

    @property
    def members(self) -> tuple[Experiment, ...]:
        """The members of all questions, but those that follow from an answer."""
        return tuple(member for question in self.questions for member in question.members)

    @property
    def size(self) -> int:
        """How many members are trained, with those that follow from an answer."""
        return len(self.members) + sum(bool(question.best_of) for question in self.questions)
