"""A folder of photographs: `finetune-fast` beside Keras' own tutorial, given the same processor time.

`.venv/bin/python -m benchmarks.tutorial --archive cifar-10-binary.tar.xz --weights vgg16_..._notop.h5`: CIFAR-10, or a
part of it, is written as class folders of 160-pixel JPEGs, train/ and test/. Ours adds the folder and trains the row
that `vgg16 run NAME-finetune-fast` does; a third of train/ become its val and gate. Then each rival of Keras gets the
processor time that ours took, with imports, reading and validation, to the step: what else the machine does takes
nothing from it. All are scored once on the same files of test/. `--limit` takes fewer pictures, for a trial.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import stamp
from vgg16.config import catalog
from vgg16.config.types import SPLITS, Dataset
from vgg16.statistics import paired_comparison, proportion_interval

SIDE = 160
BATCH = 32
# One thread: none loses budget to threads that wait for each other.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def spent() -> float:
    """Seconds of the processor, user and system, of this process and those that it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(frozen=True)
class Task:
    """Folders train/ and test/, ImageNet's weights, and the processor seconds that a rival has."""

    folder: Path
    weights: Path
    seconds: float


@dataclass(frozen=True)
class Trained:
    """How to ask whether each file of test/ is answered right; images that were learned from, one for each step that
    they were in."""

    correct: Callable[[], dict[str, bool]]
    images: int
    val_top1: float


def write_folders(archive: Path, folder: Path, limit: int) -> None:
    """The images of an archive, or the first `limit` of train and as large a share of test, as JPEGs of 160 pixels."""
    from vgg16.data.sources import cifar

    dataset = catalog.dataset("cifar10")
    images, labels, test = cifar.read_records(dataset, archive, str(archive))
    for part, rows in (("train", np.flatnonzero(~test)), ("test", np.flatnonzero(test))):
        chosen = rows[: limit or None] if part == "train" else rows
        for name in dataset.class_names:
            (folder / part / name).mkdir(parents=True)
        for number in chosen:
            image = Image.fromarray(images[number]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            image.save(folder / part / dataset.class_names[labels[number]] / f"{number:05}.jpg", quality=90)


def ours(task: Task) -> Trained:
    """The folder is added as `vgg16 data add` does, and `pets-finetune-fast` trained from the weights."""
    from vgg16.data.picture_set import PictureSet
    from vgg16.steps.data.add import add
    from vgg16.training.phases import Reports
    from vgg16.training.train import train
    from vgg16.workplace import settings
    from vgg16.workplace.tensorflow import import_tensorflow
    from vgg16.workplace.workplace import Silence, Workplace

    with tempfile.TemporaryDirectory(prefix="vgg16-home-") as home:
        where = Workplace(replace(settings.load(), home=Path(home), store=f"{home}/store"), Silence())
        recipes = tuple(catalog.shipped_tables("recipes")["recipes"])
        row = Dataset(name="pets", description="", source=(str(task.folder),), floors=dict.fromkeys(recipes, 0.5))
        added = add(row, where)
        import_tensorflow()
        from vgg16.network.weights import read_weights

        data = where.dataset(added.dataset)
        asked = catalog.recipes_on(row)["pets-finetune-fast"]
        base = read_weights(catalog.backbone(asked.backbone.name), str(task.weights))
        model, result = train(asked, data, base, Reports(epoch=lambda epoch: tell(epoch.val_top1)))
        shown = data.at(model.input_shape[1])
        assert isinstance(shown, PictureSet)
        images, labels = shown.part("test")
        rows = np.flatnonzero(shown.splits == SPLITS.index("test"))
        pixels, paths = np.asarray(images[:]), shown.index.paths.take(rows).to_pylist()

    def correct() -> dict[str, bool]:
        right = model.predict(pixels, batch_size=256, verbose=0).argmax(axis=1) == labels
        return {"/".join(Path(path).parts[-2:]): bool(each) for path, each in zip(paths, right, strict=True)}

    return Trained(correct, data.counts()["train"] * len(result.epochs), result.best_val_top1)


def tell(val_top1: float) -> None:
    print(f"  {spent():6.0f} s of processor, val top-1 {val_top1:.3f}", file=sys.stderr, flush=True)


def _folders(task: Task) -> tuple[Any, Any, Any]:
    """The three datasets of the tutorial: pixels 0 to 255 and labels."""
    import keras

    options: dict[str, Any] = {"image_size": (SIDE, SIDE), "batch_size": BATCH}
    train, val = keras.utils.image_dataset_from_directory(
        task.folder / "train", validation_split=0.2, subset="both", seed=1, **options
    )
    test = keras.utils.image_dataset_from_directory(task.folder / "test", shuffle=False, **options)
    return train, val, test


def _frozen(task: Task) -> Any:
    import keras

    base = keras.applications.VGG16(include_top=False, weights=str(task.weights), input_shape=(SIDE, SIDE, 3))
    base.trainable = False
    return base


def _fit(model: Any, train: Any, val: Any, task: Task, epochs: int) -> Trained:
    """Adam 1e-3 until the time is spent, with the weights of the epoch that was best on val."""
    import keras

    class Within(keras.callbacks.Callback):
        images = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.images += BATCH
            self.model.stop_training = spent() >= task.seconds

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            if epoch % 10 == 0 or spent() >= task.seconds:
                tell(logs["val_accuracy"])

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    within = Within()
    best = keras.callbacks.EarlyStopping("val_accuracy", patience=epochs, mode="max", restore_best_weights=True)
    history = model.fit(train, validation_data=val, epochs=epochs, verbose=0, callbacks=[within, best])
    return Trained(dict, within.images, max(history.history["val_accuracy"]))


def _head(inputs: Any, pooling: str, classes: int) -> Any:
    from keras import layers

    if pooling == "average":
        x = layers.GlobalAveragePooling2D()(inputs)
    else:
        x = layers.Dense(256, activation="relu")(layers.Flatten()(inputs))
    return layers.Dense(classes)(layers.Dropout(0.2 if pooling == "average" else 0.5)(x))


def tutorial(task: Task) -> Trained:
    """The guide "Transfer learning and fine-tuning" of keras.io as it stands, with VGG-16: pictures are flipped and
    rotated, and go through the frozen base in every epoch."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(1)
    train, val, test = _folders(task)
    changes = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    changed = train.map(lambda x, y: (changes(x, training=True), y)).prefetch(tf.data.AUTOTUNE)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = _frozen(task)(keras.applications.vgg16.preprocess_input(inputs), training=False)
    model = keras.Model(inputs, _head(x, "average", len(train.class_names)))
    trained = _fit(model, changed, val, task, epochs=1000)
    return replace(trained, correct=lambda: _correct(model.predict(test, verbose=0), test))


def once(task: Task, pooling: str = "average") -> Trained:
    """What a practised user does: the frozen base's features are computed once, without augmentation, as far as the
    time goes, and the head learns from them for up to 200 epochs."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    train, val, test = _folders(task)
    base = _frozen(task)

    @tf.function(reduce_retracing=True)
    def forward(images: Any) -> Any:
        return base(keras.applications.vgg16.preprocess_input(images), training=False)

    def features(dataset: Any, until: float) -> tuple[Any, Any]:
        parts = []
        for images, labels in dataset:
            parts.append((forward(images).numpy(), labels.numpy()))
            if spent() >= until:
                break
        return tuple(np.concatenate(each) for each in zip(*parts, strict=True))  # type: ignore[return-value]

    val_features = features(val, task.seconds)
    x, y = features(train, 0.95 * task.seconds)
    print(f"  features of {len(y)} pictures after {spent():.0f} s of processor", file=sys.stderr, flush=True)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, _head(inputs, pooling, len(train.class_names)))
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(y)).batch(BATCH)
    trained = _fit(model, batches, tf.data.Dataset.from_tensor_slices(val_features).batch(256), task, epochs=200)
    return replace(trained, correct=lambda: _correct(model.predict(features(test, float("inf"))[0], verbose=0), test))


def once_flat(task: Task) -> Trained:
    """The same with the older guides' head: flattened, Dense 256, Dropout 0.5."""
    return once(task, "flatten")


def _correct(logits: Any, test: Any) -> dict[str, bool]:
    classes = [Path(path).parts[-2:] for path in test.file_paths]
    names = [test.class_names[each] for each in logits.argmax(axis=1)]
    return {"/".join(path): name == path[0] for path, name in zip(classes, names, strict=True)}


CONTENDERS: dict[str, Callable[[Task], Trained]] = {
    "ours": ours,
    "tutorial": tutorial,
    "features once": once,
    "features once, flat": once_flat,
}


def run(name: str, task: Task) -> dict[str, Any]:
    """A contender in this process."""
    trained = CONTENDERS[name](task)
    seconds = spent()
    return {
        "seconds": seconds,
        "images": trained.images,
        "val_top1": trained.val_top1,
        "correct": trained.correct(),
    }


def apart(name: str, task: Task) -> dict[str, Any]:
    """A contender in a process of its own."""
    paths = ["--folder", str(task.folder), "--weights", str(task.weights)]
    command = [sys.executable, "-m", "benchmarks.tutorial", "--contender", name, "--seconds", str(task.seconds), *paths]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def line(name: str, answer: dict[str, Any], first: dict[str, Any] | None) -> str:
    """A row of the table; `first` are the answers that it is compared with."""
    right, files = sum(answer["correct"].values()), sorted(answer["correct"])
    low, high = proportion_interval(right, len(files))
    told = f"{name:<20} test top-1 {right / len(files):.3f} ({low:.3f} to {high:.3f})  val {answer['val_top1']:.3f}"
    told += f"  {answer['seconds']:5.0f} s of processor  {answer['images']:>7,} images"
    if first:
        pair = [np.array([each["correct"][file] for file in files]) for each in (first, answer)]
        compared = paired_comparison(*pair)
        low, high = compared.interval
        told += f"  ours {compared.difference:+.3f} ({low:+.3f} to {high:+.3f}), McNemar p {compared.two_sided_p:.2g}"
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, help="cifar-10-binary.tar in any compression, whole or a part")
    parser.add_argument("--weights", type=Path, required=True, help="VGG-16's of ImageNet, without its top")
    parser.add_argument("--limit", type=int, default=0, help="pictures of train/, 0 for all")
    parser.add_argument("--seconds", type=float, default=0, help="of processor time, 0 for what ours takes")
    parser.add_argument("--rivals", nargs="*", default=list(CONTENDERS)[1:], choices=list(CONTENDERS)[1:])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contender:
        print(json.dumps(run(asked.contender, Task(asked.folder, asked.weights, asked.seconds))))
        return
    if asked.archive is None:
        parser.error("--archive: expected the path of the archive")
    print(json.dumps(stamp()), flush=True)
    with tempfile.TemporaryDirectory(prefix="vgg16-tutorial-") as scratch:
        folder = Path(scratch, "photographs")
        write_folders(asked.archive, folder, asked.limit)
        task = Task(folder, asked.weights.absolute(), asked.seconds)
        first = apart("ours", task)
        print(line("ours", first, None), flush=True)
        for name in asked.rivals:
            answer = apart(name, replace(task, seconds=asked.seconds or first["seconds"]))
            print(line(name, answer, first), flush=True)


if __name__ == "__main__":
    main()
