"""The rows: datasets, backbones and experiments. Plain data; a new one is one row."""

from __future__ import annotations

import string

from vgg16.config.types import (
    Archive,
    Augmentation,
    Backbone,
    BackboneChoice,
    Dataset,
    DatasetChoice,
    Experiment,
    GateRules,
    Head,
    Optimizer,
    Phase,
    Pretrained,
    Schedule,
)

_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
# The 20 superclasses of CIFAR-100 and their classes. Krizhevsky, "Learning Multiple Layers of Features from Tiny
# Images", technical report, 2009.
_CIFAR100 = {
    superclass: tuple(classes.split())
    for superclass, classes in {
        "aquatic_mammals": "beaver dolphin otter seal whale",
        "fish": "aquarium_fish flatfish ray shark trout",
        "flowers": "orchid poppy rose sunflower tulip",
        "food_containers": "bottle bowl can cup plate",
        "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
        "household_electrical_devices": "clock keyboard lamp telephone television",
        "household_furniture": "bed chair couch table wardrobe",
        "insects": "bee beetle butterfly caterpillar cockroach",
        "large_carnivores": "bear leopard lion tiger wolf",
        "large_man-made_outdoor_things": "bridge castle house road skyscraper",
        "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
        "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
        "medium_mammals": "fox porcupine possum raccoon skunk",
        "non-insect_invertebrates": "crab lobster snail spider worm",
        "people": "baby boy girl man woman",
        "reptiles": "crocodile dinosaur lizard snake turtle",
        "small_mammals": "hamster mouse rabbit shrew squirrel",
        "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
        "vehicles_1": "bicycle bus motorcycle pickup_truck train",
        "vehicles_2": "lawn_mower rocket streetcar tank tractor",
    }.items()
}


def _toronto(file: str) -> tuple[str, ...]:
    """The official address, and the same server by its other name."""
    return f"https://www.cs.toronto.edu/~kriz/{file}", f"https://cave.cs.toronto.edu/kriz/{file}"


_GRAY = {"red_over_green": (0, 0), "green_over_blue": (0, 0), "channel_difference": (0, 0)}
DATASETS = {
    row.name: row
    for row in (
        Dataset(
            name="digits",
            description="1,797 handwritten digits, real 8x8 scans that ship inside scikit-learn, scaled to 32x32 RGB",
            class_names=tuple(string.digits),
            image_size=32,
            typical=_GRAY
            | {
                "mean_intensity": (77.9, 9),
                "horizontal_gradient": (15.8, 1.6),
                "vertical_gradient": (8.7, 2),
                "label_signal": (0.49, 0.5),
            },
            measured_on=1_797,
            imbalance=0.05,
        ),
        Dataset(
            name="glyphs",
            description="A-Z and a-z drawn from the fonts that matplotlib ships, shifted, turned, scaled, thickened",
            class_names=tuple(string.ascii_uppercase + string.ascii_lowercase),
            image_size=32,
            typical=_GRAY
            | {
                "mean_intensity": (60.8, 90),
                "horizontal_gradient": (16.2, 11),
                "vertical_gradient": (12.4, 13),
                "label_signal": (0.31, 0.7),
            },
            measured_on=4_420,
        ),
        Dataset(
            name="cifar10",
            description="60,000 photographs of 32x32 pixels in 10 classes",
            class_names=tuple(_CIFAR10.split()),
            image_size=32,
            # The colours are the published ones of all its images: 125.3, 123.0, 113.9.
            typical={
                "mean_intensity": (120.7, 32.6),
                "red_over_green": (2.3, 17.6),
                "green_over_blue": (9.1, 20.9),
                "channel_difference": (18.3, 11.5),
                "horizontal_gradient": (13.7, 4.7),
                "vertical_gradient": (15.4, 4.9),
                "label_signal": (0.1, 0.5),
            },
            measured_on=3_600,
            # Those 3,600 hold no copies; all may hold as many as cifar100 does.
            tolerated={"few_copies": 0.001, "no_leak": 0.0004, "one_label": 0.0006, "exposure": 0.002},
            archive=Archive(
                addresses=_toronto("cifar-10-binary.tar.gz"),
                bytes=170_052_171,
                sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                records=60_000,
                folder="cifar-10-batches-bin",
                train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
                test=("test_batch.bin",),
                names=("batches.meta.txt",),
            ),
        ),
        Dataset(
            name="cifar100",
            description="60,000 photographs of 32x32 pixels in 100 classes of 20 superclasses",
            class_names=tuple(sorted(name for names in _CIFAR100.values() for name in names)),
            superclasses=_CIFAR100,
            image_size=32,
            typical={
                "mean_intensity": (122, 37.5),
                "red_over_green": (5.3, 25.4),
                "green_over_blue": (11.6, 24.3),
                "channel_difference": (22.2, 15.8),
                "horizontal_gradient": (14, 5.2),
                "vertical_gradient": (14.56, 5),
                "label_signal": (0.162, 0.55),
            },
            measured_on=60_000,
            # 14 pairs of copies in train, 2 in test, 10 from one into the other; 17 of the 26 have two labels.
            tolerated={"few_copies": 52 / 60_000, "no_leak": 20 / 60_000, "one_label": 34 / 60_000, "exposure": 0.0011},
            archive=Archive(
                addresses=_toronto("cifar-100-binary.tar.gz"),
                bytes=168_513_733,
                sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                records=60_000,
                folder="cifar-100-binary",
                train=("train.bin",),
                test=("test.bin",),
                names=("coarse_label_names.txt", "fine_label_names.txt"),
            ),
        ),
    )
}


def _caffe(application: str, first_layer: str) -> Pretrained:
    """Weights that were trained in Caffe: on pixels 0 to 255 less the channels' means, blue first."""
    mean, std = (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)
    return Pretrained(application=application, mean=mean, std=std, bgr_layer=first_layer)


_AVERAGED = Head(pooling="average", units=())
# Simonyan & Zisserman, "Very Deep Convolutional Networks", arXiv 1409.1556, table 1: configurations A, B, D, E; then
# networks of keras.applications.
BACKBONES = {
    row.name: row
    for row in (
        Backbone(
            name="vgg11",
            description="configuration A: 8 convolutions",
            blocks=((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
        ),
        Backbone(
            name="vgg13",
            description="configuration B: 10 convolutions",
            blocks=((2, 64), (2, 128), (2, 256), (2, 512), (2, 512)),
        ),
        Backbone(
            name="vgg16",
            description="configuration D: 13 convolutions",
            blocks=((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
            pretrained=_caffe("VGG16", "block1_conv1"),
        ),
        Backbone(
            name="vgg19",
            description="configuration E: 16 convolutions",
            blocks=((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)),
            pretrained=_caffe("VGG19", "block1_conv1"),
        ),
        Backbone(
            name="resnet50",
            description="residual network, arXiv 1512.03385",
            depth=5,
            head=_AVERAGED,
            pretrained=_caffe("ResNet50", "conv1_conv"),
        ),
        Backbone(
            name="mobilenetv2",
            description="inverted residuals, arXiv 1801.04381",
            depth=16,
            head=_AVERAGED,
            pretrained=Pretrained(application="MobileNetV2", mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
        ),
        Backbone(
            name="efficientnetb0",
            description="compound scaling, arXiv 1905.11946",
            depth=7,
            head=_AVERAGED,
            # ImageNet's, in the deviations 58.395, 57.12, 57.375: its own first layer divides by 255 once more.
            pretrained=Pretrained(
                application="EfficientNetB0", mean=(123.675, 116.28, 103.53), std=(0.229, 0.224, 0.225)
            ),
        ),
    )
}
# A quarter of the width: scans of 32x32 need no more, and two cores train it in under a minute.
_SMALL = BackboneChoice(name="vgg16", width=0.25, batch_norm="after")
_HEAD = Head(units=(512,))


def _sgd(learning_rate: float) -> Optimizer:
    return Optimizer(name="sgd", learning_rate=learning_rate, weight_decay=5e-4)


_AUGMENTED = Augmentation(shift=4, flip=True)


def _photographs(dataset: str, floors: tuple[float, float]) -> tuple[Experiment, ...]:
    """The four experiments on a CIFAR dataset: for a GPU, from scratch and fine-tuned, and both for two cores.

    `floors` are the least top-1 for production, of those for a GPU and of those for two cores.
    """
    full, fast = (GateRules(floor=floor) for floor in floors)
    average = Head(pooling="average", units=(), batch_norm=True, dropout=0.3)
    return (
        Experiment(
            name=f"{dataset}-scratch",
            description="VGG-16 with batch normalisation, from random weights; for a GPU",
            dataset=DatasetChoice(name=dataset),
            backbone=BackboneChoice(name="vgg16", batch_norm="before"),
            head=Head(units=(512,), batch_norm=True, dropout=0.5),
            phases=(
                Phase(
                    epochs=200,
                    optimizer=Optimizer(name="sgd", learning_rate=0.1, weight_decay=5e-4, average=0.999),
                    schedule=Schedule(warmup_epochs=5),
                ),
            ),
            batch_size=128,
            augmentation=_AUGMENTED,
            precision="auto",
            gate=full,
            loss="categorical_crossentropy",
            label_smoothing=0.1,
        ),
        Experiment(
            name=f"{dataset}-finetune",
            description="ImageNet's VGG-16 at 128 pixels: the head, then blocks 4 and 5, then everything; for a GPU",
            dataset=DatasetChoice(name=dataset),
            base="imagenet",
            head=average,
            image_size=128,
            phases=(
                Phase(
                    trains="head",
                    epochs=10,
                    optimizer=Optimizer(learning_rate=2e-3, weight_decay=1e-3),
                    augmentation=Augmentation(flip=True),
                ),
                Phase(
                    trains="block4",
                    epochs=10,
                    optimizer=Optimizer(name="sgd", learning_rate=2e-3, weight_decay=5e-4),
                    schedule=Schedule(warmup_epochs=1),
                ),
                Phase(
                    trains="all",
                    epochs=20,
                    optimizer=Optimizer(name="sgd", learning_rate=1e-3, weight_decay=5e-4, average=0.999),
                    schedule=Schedule(warmup_epochs=1),
                ),
            ),
            batch_size=64,
            augmentation=_AUGMENTED,
            precision="auto",
            gate=full,
            loss="categorical_crossentropy",
            label_smoothing=0.1,
        ),
        Experiment(
            name=f"{dataset}-scratch-fast",
            description="VGG-16 of half the width, images that grow from 16 to 32 pixels; for two cores",
            dataset=DatasetChoice(name=dataset),
            backbone=BackboneChoice(name="vgg16", width=0.5, batch_norm="after"),
            head=Head(pooling="average", units=(), batch_norm=True, dropout=0.3),
            phases=(
                Phase(
                    epochs=4, image_size=16, optimizer=_sgd(0.05), schedule=Schedule(name="constant", warmup_epochs=1)
                ),
                Phase(epochs=4, image_size=24, optimizer=_sgd(0.05), schedule=Schedule(name="constant")),
                Phase(epochs=16, optimizer=_sgd(0.05)),
            ),
            batch_size=128,
            augmentation=_AUGMENTED,
            precision="auto",
            gate=fast,
            loss="categorical_crossentropy",
            label_smoothing=0.1,
        ),
        Experiment(
            name=f"{dataset}-finetune-fast",
            description="ImageNet's VGG-16 at 64 pixels: the head, then blocks 3 to 5; for two cores",
            dataset=DatasetChoice(name=dataset),
            base="imagenet",
            head=average,
            image_size=64,
            phases=(
                Phase(
                    trains="head",
                    epochs=12,
                    optimizer=Optimizer(learning_rate=2e-3, weight_decay=1e-3),
                    augmentation=Augmentation(flip=True),
                ),
                Phase(
                    trains="block3",
                    epochs=7,
                    optimizer=Optimizer(name="sgd", learning_rate=2e-3, weight_decay=5e-4),
                    schedule=Schedule(warmup_epochs=0.5),
                ),
            ),
            batch_size=64,
            augmentation=_AUGMENTED,
            precision="auto",
            gate=fast,
            loss="categorical_crossentropy",
            label_smoothing=0.1,
        ),
    )


_DIGITS_SCRATCH = Experiment(
    name="digits-scratch",
    description="VGG-16 with batch normalisation, from random weights",
    dataset=DatasetChoice(name="digits"),
    backbone=_SMALL,
    head=_HEAD,
    phases=(Phase(epochs=10, optimizer=_sgd(0.05), schedule=Schedule(warmup_epochs=1)),),
    batch_size=32,
    augmentation=Augmentation(shift=2),
    gate=GateRules(floor=0.9),
)
EXPERIMENTS = {
    row.name: row
    for row in (
        _DIGITS_SCRATCH,
        _DIGITS_SCRATCH.model_copy(
            update={
                "name": "digits-adam",
                "description": "digits-scratch with Adam in place of SGD",
                "phases": (Phase(epochs=10, optimizer=Optimizer(name="adam", learning_rate=1e-3)),),
            }
        ),
        _DIGITS_SCRATCH.model_copy(
            update={
                "name": "digits-dropout",
                "description": "digits-scratch with dropout 0.2 between convolutions",
                "backbone": _SMALL.model_copy(update={"dropout": 0.2}),
            }
        ),
        Experiment(
            name="digits-finetune",
            description="the base of glyphs-scratch: first a new head, then everything from block3 on",
            dataset=DatasetChoice(name="digits"),
            backbone=_SMALL,
            head=_HEAD,
            base="glyphs-scratch",
            phases=(
                Phase(trains="head", epochs=3, optimizer=_sgd(0.05)),
                Phase(trains="block3", epochs=7, optimizer=_sgd(0.02)),
            ),
            batch_size=32,
            augmentation=Augmentation(shift=2),
            gate=GateRules(floor=0.9),
        ),
        Experiment(
            name="glyphs-scratch",
            description="VGG-16 on printed letters: what digits-finetune starts from",
            dataset=DatasetChoice(name="glyphs"),
            backbone=_SMALL,
            head=_HEAD,
            phases=(Phase(epochs=8, optimizer=_sgd(0.05), schedule=Schedule(warmup_epochs=1)),),
            gate=GateRules(floor=0.6),
        ),
        *_photographs("cifar10", floors=(0.85, 0.7)),
        *_photographs("cifar100", floors=(0.6, 0.4)),
    )
}
