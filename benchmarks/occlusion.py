"""How often the map of `POST /occlusion` is highest on the object, where it is known where that is.

`.venv/bin/python -m benchmarks.occlusion FILE.onnx [--pictures N]`: an exported model of the digits, as `vgg16 run
digits-scratch` makes one. Handwritten digits of 8x8 pixels, resized to a number of pixels, are put somewhere on black
pictures of the model's size. Of those that the model answers right, the share is told whose highest place has its
centre within the digit's square, with its 95 % interval; `by_chance` is the share of all places whose centre is.
A line of JSON for each size.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks.machine import stamp
from vgg16.exports.session import Session, open_session
from vgg16.serving import occlusion
from vgg16.statistics import proportion_interval

PARTS = (0.5, 0.625, 0.75)  # of the picture's side
PLACES = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--pictures", type=int, default=400)
    args = parser.parse_args()
    session = open_session(args.file, threads=1)  # one image at a time is too little for more
    for part in PARTS:
        print(json.dumps(measure(session, round(part * session.side), args.pictures) | stamp()), flush=True)


def measure(session: Session, size: int, pictures: int) -> dict[str, object]:
    """The figures of digits of one size."""
    random, digits = np.random.default_rng(2026), load_digits()
    highest: list[bool] = []
    chance: list[float] = []
    for index in random.choice(len(digits.images), pictures, replace=False):
        top, left = random.integers(0, session.side - size + 1, 2)
        image = planted(digits.images[index], session.side, size, top, left)
        label = int(digits.target[index])
        whole = session.answer(image[None])[0][0]
        if session.class_names[int(whole.argmax())] != str(label):
            continue
        answers = session.answer(np.stack([*occlusion.hidden(image, PLACES)]))[0]
        drops = occlusion.drops(float(whole.max()), answers[:, whole.argmax()].tolist())
        centres = np.array(occlusion.edges(session.side, PLACES)[1:-1])
        rows, columns = ((centres >= start) & (centres <= start + size) for start in (top, left))
        inside = rows[:, None] & columns
        highest.append(bool(inside.flat[int(drops.argmax())]))
        chance.append(float(inside.mean()))
    low, high = proportion_interval(sum(highest), len(highest))
    return {
        "side": session.side,
        "digit": size,
        "pictures": pictures,
        "right": len(highest),
        "highest_on_digit": round(float(np.mean(highest)), 4),
        "interval": [round(low, 4), round(high, 4)],
        "by_chance": round(float(np.mean(chance)), 4),
    }


def planted(digit: NDArray[np.float64], side: int, size: int, top: int, left: int) -> NDArray[np.uint8]:
    """A black picture with a digit on it, uint8 [side, side, 3]."""
    small = Image.fromarray((digit * (255 / 16)).astype(np.uint8)).resize((size, size), Image.Resampling.BILINEAR)
    image = np.zeros((side, side, 3), np.uint8)
    image[top : top + size, left : left + size] = np.asarray(small)[..., None]
    return image


if __name__ == "__main__":
    main()
