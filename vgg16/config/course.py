"""The study `course`: the questions of a practical course on VGG-16. Plain data."""

from __future__ import annotations

from typing import Any, Literal

from vgg16.config.types import (
    BackboneChoice,
    DatasetChoice,
    Experiment,
    Head,
    Optimizer,
    Phase,
    Question,
    Schedule,
    Study,
)


def _course() -> Study:
    """A practical course on VGG-16. Its rate of 0.1 is for SGD and Adam alike, and SGD has no momentum: whether that
    trains is one of its questions."""

    def phase(optimizer: Literal["adam", "sgd"], learning_rate: float, epochs: int, trains: str = "all") -> Phase:
        row = Optimizer(name=optimizer, learning_rate=learning_rate, momentum=0.0, nesterov=False)
        return Phase(trains=trains, epochs=epochs, optimizer=row, schedule=Schedule(name="constant"))

    def member(name: str, description: str, **settings: Any) -> Experiment:
        common = {"dataset": DatasetChoice(name="cifar100"), "head": Head(units=(512,)), "batch_size": 64}
        values: dict[str, Any] = common | {"precision": "auto", "score_test": "always"} | settings
        return Experiment(name=f"course-{name}", description=description, **values)

    networks = {
        "reference": ("the reference VGG-16", BackboneChoice()),
        "batchnorm": ("with batch normalisation after each activation", BackboneChoice(batch_norm="after")),
        "dropout": ("and with dropout 0.2 after each convolution", BackboneChoice(batch_norm="after", dropout=0.2)),
    }
    optimizers: tuple[Literal["adam", "sgd"], ...] = ("adam", "sgd")
    plain = (phase("sgd", 0.01, 100, "head"),)
    # With momentum, or so small a rate would move nothing within these epochs.
    small = Phase(
        trains="block5",
        epochs=20,
        optimizer=Optimizer(name="sgd", learning_rate=0.001),
        schedule=Schedule(name="constant"),
    )
    return Study(
        name="course",
        description="the questions of a practical course on VGG-16: from scratch, and from ImageNet",
        questions=(
            Question(
                name="scratch",
                members=tuple(
                    member(
                        f"{name}-{optimizer}",
                        f"{about}; {optimizer} at 0.1",
                        backbone=backbone,
                        phases=(phase(optimizer, 0.1, 10),),
                    )
                    for name, (about, backbone) in networks.items()
                    for optimizer in optimizers
                ),
                compared=(
                    *((f"course-batchnorm-{optimizer}", f"course-reference-{optimizer}") for optimizer in optimizers),
                    *((f"course-dropout-{optimizer}", f"course-batchnorm-{optimizer}") for optimizer in optimizers),
                    *((f"course-{network}-sgd", f"course-{network}-adam") for network in networks),
                ),
            ),
            Question(
                name="optimal",
                best_of="scratch",
                settings=("phases.0.epochs=20",),
                compared=(("optimal", "scratch"),),
            ),
            Question(
                name="frozen",
                members=tuple(
                    member(
                        f"frozen-{speed}-{normalization}",
                        f"ImageNet's VGG-16, frozen; sgd at {rate}; pixels: {normalization}",
                        base="imagenet",
                        normalization=normalization,
                        phases=(phase("sgd", rate, epochs, "head"),),
                    )
                    for speed, rate, epochs in (("fast", 0.1, 15), ("slow", 0.01, 100))
                    for normalization in ("raw", "dataset", "weights")
                ),
                compared=(
                    ("frozen", "optimal"),
                    *(
                        (f"course-frozen-{speed}-weights", f"course-frozen-{speed}-{other}")
                        for speed in ("fast", "slow")
                        for other in ("raw", "dataset")
                    ),
                    ("course-frozen-slow-weights", "course-frozen-fast-weights"),
                ),
            ),
            # Each differs from `frozen-slow-weights` in one thing.
            Question(
                name="further",
                members=(
                    member(
                        "mobilenetv2",
                        "ImageNet's MobileNetV2 at 96 pixels, frozen; sgd at 0.01",
                        backbone=BackboneChoice(name="mobilenetv2"),
                        base="imagenet",
                        image_size=96,
                        phases=plain,
                    ),
                    member(
                        "block5",
                        "ImageNet's VGG-16: the head, then block 5 too at a small rate; sgd at 0.01, then 0.001",
                        base="imagenet",
                        phases=(*plain, small),
                    ),
                    member(
                        "larger",
                        "ImageNet's VGG-16 at 64 pixels, frozen; sgd at 0.01",
                        base="imagenet",
                        image_size=64,
                        phases=plain,
                    ),
                ),
                compared=tuple(
                    (f"course-{name}", "course-frozen-slow-weights") for name in ("mobilenetv2", "block5", "larger")
                ),
            ),
        ),
    )


STUDIES = {row.name: row for row in (_course(),)}
