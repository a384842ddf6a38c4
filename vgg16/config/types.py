"""Types of what we ask for. Every value is frozen, refuses unknown keys, and is logged whole."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

Split = Literal["train", "val", "gate", "test"]


Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


Device = Literal["auto", "cpu", "gpu"]


SPLITS: tuple[Split, ...] = ("train", "val", "gate", "test")


class Frozen(BaseModel):
    """A value that cannot change and has no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Archive(Frozen):
    """A dataset's official archive: a tar file of records, each its label bytes, then the planes R, G and B row by row.

    `addresses` are tried in their order; `bytes` and `sha256` are those of the official file. A copy of it may hold
    fewer than `records`, not more. `train` and `test` are the files of the official parts inside `folder`; `names`
    lists for each label byte of a record, in their order, the file of its names; the last byte is the class.
    """

    addresses: tuple[str, ...]
    bytes: int
    sha256: str
    records: int
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: tuple[str, ...]


class Dataset(Frozen):
    """A named source of images; without an `archive` they are made by this machine.

    `superclasses` are groups of the classes, each by its name. `split_seed` belongs to the dataset, so that no
    experiment can move an image from `test` to `train`; where the archive has an official test part, that is `test`,
    whatever `test_fraction` says.

    What its images are known to be: `typical` holds for each of `validation.MEASURES` the mean over all images and the
    standard deviation among them, which tells how far chance moves the mean of fewer (a larger one where neighbours in
    the source resemble each other); `measured_on` is how many images they come from. `tolerated` names expectations
    that a share of the untouched images breaks; what it does not name allows none. `imbalance`: how far a class may be
    from its even share of a split, as a part of that.
    """

    name: str
    description: str
    class_names: tuple[str, ...]
    superclasses: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    image_size: int
    typical: dict[str, tuple[float, float]]
    measured_on: int
    tolerated: dict[str, float] = Field(default_factory=dict)
    imbalance: float = 0.0
    archive: Archive | None = None
    split_seed: int = 0
    val_fraction: float = 0.2
    gate_fraction: float = 0.1
    test_fraction: float = 0.2


class Head(Frozen):
    """What follows the base: its maps made flat, or their `average`; the fully connected layers `fc1`, `fc2` ... of
    `units`; `predictions`. `batch_norm` stands before each of these dense layers, `dropout` too, but not before the
    first where there are `units`."""

    pooling: Literal["flatten", "average"] = "flatten"
    units: tuple[PositiveInt, ...] = (512,)
    batch_norm: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Pretrained(Frozen):
    """ImageNet weights that Keras offers, and what they were trained to see.

    `application` is the function of `keras.applications`. `mean` and `std` are what the channels R, G, B of pixels 0 to
    255 are less and divided by. `bgr_layer` names the layer whose kernel takes blue first, "" where red comes first.
    """

    application: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr_layer: str = ""


class Backbone(Frozen):
    """A convolutional base: `blocks` of the VGG family, each (number of 3x3 convolutions, filters), table 1 of arXiv
    1409.1556; or, without them, the network that `pretrained` names, whose layers are numbered in `depth` blocks."""

    name: str
    description: str
    blocks: tuple[tuple[int, int], ...] = ()
    depth: int = 5
    pretrained: Pretrained | None = None
    image_size: int = 224
    head: Head = Head(units=(4096, 4096))
    classes: int = 1000


class DatasetChoice(Frozen):
    """Which dataset, and how much of it.

    `limit`: this many images of train and val together and a fifth as many of gate and test together, stratified,
    with at least one of every class in each split.
    `per_class`: this many training images of each class; val, gate and test stay whole.
    """

    name: str
    limit: int | None = Field(default=None, ge=10)
    per_class: int | None = Field(default=None, ge=1)


class BackboneChoice(Frozen):
    """A row of the backbones and, for the VGG family, its options.

    `width` multiplies the filters of every convolution. `batch_norm` stands before or after each ReLU.
    `dropout` is the rate after each convolution that has no pooling layer for a neighbour.
    """

    name: str = "vgg16"
    width: float = Field(default=1.0, gt=0, le=4)
    batch_norm: Literal["none", "before", "after"] = "none"
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Optimizer(Frozen):
    """`weight_decay` is decoupled from the gradient (arXiv 1711.05101): each step shrinks a weight by learning rate
    times decay of itself. It spares biases and normalisations. `average` above 0 is the momentum of an exponential
    moving average of the weights, which is then what is evaluated and kept."""

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    average: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Schedule(Frozen):
    """The learning rate: a linear warm-up of `warmup_epochs`, then `constant`, or `cosine` down to zero."""

    name: Literal["constant", "cosine"] = "cosine"
    warmup_epochs: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class Augmentation(Frozen):
    """Of training images only: a random shift of up to `shift` pixels each way (edges filled with black: the padded
    random crop of the literature), and a random left-right `flip`."""

    shift: int = Field(default=0, ge=0, le=64)
    flip: bool = False


class Phase(Frozen):
    """One stretch of training. `trains`: `all`, `head`, or the first block that learns, such as `block5`. `image_size`
    and `augmentation` stand in for the experiment's."""

    trains: str = Field(default="all", pattern=r"^(all|head|block[1-9][0-9]?)$")
    epochs: int = Field(default=10, ge=1)
    image_size: int | None = Field(default=None, ge=8, le=1024)
    augmentation: Augmentation | None = None
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()


class GateRules(Frozen):
    """What a challenger must show on the gate split. Shares and differences of top-1 are 0 to 1.

    `floor`: the top-1 that the first version of a name must reach, with the lower end of its 95 % interval.
    `policy`: `better` promotes what is significantly better than the champion; `non-inferior`, for retraining on fresh
    data, what is at most `noninferiority_margin` worse than the pinned reference, the best that was ever promoted.
    `alpha`: the chance that a challenger which is not so passes the first judgement of a split; the k-th is made at a
    k-th of it. `min_gain`: where even the upper end of the interval gains less, more images would not help, and the
    verdict is no. `max_ece`, `max_latency_ms` for one image, `max_megabytes` of the file: budgets. `approval`: what may
    be promoted waits in Staging for a person.
    """

    floor: float = Field(default=0.5, ge=0, le=1)
    policy: Literal["better", "non-inferior"] = "better"
    alpha: float = Field(default=0.025, gt=0, lt=0.5)
    noninferiority_margin: float = Field(default=0.005, gt=0, lt=1)
    min_gain: float = Field(default=0.02, ge=0, lt=1)
    max_ece: float = Field(default=0.1, gt=0, le=1)
    max_latency_ms: float = Field(default=1000, gt=0)
    max_megabytes: float = Field(default=1000, gt=0)
    approval: bool = False

    @model_validator(mode="before")
    @classmethod
    def _as_0_1_spelt_it(cls, values: Any) -> Any:
        """Experiments of 0.1 are read back from MLflow."""
        if not isinstance(values, dict):
            return values
        renamed = {RENAMED_RULES.get(name, name): value for name, value in values.items()}
        if len(renamed) < len(values):  # one rule by both names is refused
            return values
        if "policy" in renamed:
            renamed["policy"] = RENAMED_POLICIES.get(str(renamed["policy"]), renamed["policy"])
        return renamed


# Version 0.1's names of gate rules and policies.
RENAMED_RULES = {"level": "alpha", "margin": "noninferiority_margin", "worth": "min_gain"}
RENAMED_POLICIES = {"no-worse": "non-inferior"}


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
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "float32"
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
    under this question's name with these `settings`, each KEY=VALUE. `compared` are pairs that its report tells the
    difference of: members, or questions for the best one of each."""

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
