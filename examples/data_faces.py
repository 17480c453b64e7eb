"""Data before training: a folder of pictures with faults is looked at, cleaned, and trained on; then a table.

    python examples/data_faces.py [--out FOLDER] [--epochs N]

The pictures are those of ``faces_data.py``, written as files with faults planted among them: copies, a dark one, empty files, wrong
labels. The table is one of measurements with gaps, from which a quantity is predicted.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from faces_data import NAMES, load_data
from PIL import Image

from leptonc import data, keras
from leptonc.keras import layers

SIZE = 32


def write_pictures(folder: Path) -> None:
    """Real pictures in ``train`` and ``validation``, a folder for each class, and among those for training some faults."""
    for part in ("train", "validation"):
        x, y = load_data(part, SIZE)
        for n, (picture, label) in enumerate(zip(np.rint(x * 255).astype(np.uint8), y.argmax(1))):
            path = folder / part / NAMES[label] / f"{n:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    faces = sorted((folder / "train" / "face").glob("*.png"))
    for n, path in enumerate(faces[:3]):
        (path.parent / f"copy{n}.png").write_bytes(path.read_bytes())
        (path.parent / f"empty{n}.png").write_bytes(b"")
        faces[10 + n].rename(folder / "train" / "no face" / f"mistaken{n}.png")
    with Image.open(faces[20]) as picture:
        picture.point(lambda value: value // 8).save(faces[20].with_name("dark.png"))


def pictures(out: Path, epochs: int) -> float:
    """The accuracy on pictures that were held out."""
    write_pictures(out / "faces")
    report = data.report(out / "faces")
    print(report, "\n")
    report.to_html(out / "report.html")
    drop = {kind: [issue.item for issue in report.of(kind)] for kind in ("unreadable", "duplicate")}
    drop["label"] = [issue.item for issue in report.of("label") if issue.item.startswith("train/")]  # the page shows them
    drop["dark"] = ["train/face/dark.png"]  # the other dark ones show something
    cleaned = data.clean(report, drop=drop, to=out / "clean", log=out / "clean.json")
    print(cleaned, "\n")

    options = {"image_size": (SIZE, SIZE), "color_mode": "grayscale", "batch_size": 16}
    training = data.image_dataset(out / "clean", part="train", augment=[data.random_flip, data.RandomShift(2)], **options)
    validation = data.image_dataset(out / "clean", part="validation", shuffle=False, **options)
    model = keras.Sequential([
        layers.Input((SIZE, SIZE, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dense(len(training.class_names), activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(training, validation_data=validation, epochs=epochs)
    return float(model.evaluate(validation, return_dict=True)["accuracy"])


def write_table(path: Path, rows: int = 400) -> None:
    """Prices of flats, some of whose cells are empty, one with text in it, one line twice."""
    rng = np.random.default_rng(0)
    area, year, city = rng.uniform(20, 150, rows), rng.integers(1900, 2020, rows), rng.integers(0, 3, rows)
    price = 2.0 * area + 0.5 * (year - 1900) + 40 * city + rng.normal(0, 5, rows)
    lines = [f"{a:.1f},{y},{('Bonn', 'Ulm', 'Wien')[c]},{p:.1f}" for a, y, c, p in zip(area, year, city, price)]
    lines[3], lines[5], lines[8] = f",1950,Ulm,{price[3]:.1f}", f"{area[5]:.1f},unknown,Bonn,{price[5]:.1f}", lines[9]
    path.write_text("area,year,city,price\n" + "\n".join(lines) + "\n")


def table(out: Path, epochs: int) -> float:
    """The mean error of the price on rows that were held out, by the deviation of prices."""
    write_table(out / "flats.csv")
    report = data.report(out / "flats.csv", label="price")
    print(report, "\n")
    print(data.clean(report, drop=["duplicate"], repair=["missing", "wrong_type"], to=out / "flats-clean.csv"), "\n")

    parts = {"validation_split": 0.2, "label_mode": "float"}
    training = data.table_dataset(out / "flats-clean.csv", "price", subset="training", **parts)
    validation = data.table_dataset(out / "flats-clean.csv", "price", subset="validation", **parts)
    x, y = map(np.concatenate, zip(*training))
    scale = layers.Normalization()
    scale.adapt(x)
    model = keras.Sequential([layers.Input(x.shape[1:]), scale, layers.Dense(32, activation="relu"), layers.Dense(1),
                              layers.Rescaling(float(y.std()), float(y.mean()))])
    model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=["mae"])
    model.fit(training, validation_data=validation, epochs=epochs)
    return float(model.evaluate(validation, return_dict=True)["mae"] / y.std())


def main(arguments: Sequence[str] | None = None) -> tuple[float, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/data_faces"), help="a new folder")
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True)
    keras.utils.set_random_seed(0)
    accuracy, error = pictures(options.out, options.epochs), table(options.out, options.epochs)
    print(f"faces: accuracy {accuracy:.2f} on pictures held out; flats: mean error {error:.2f} of the deviation of prices")
    print(f"page: {options.out / 'report.html'}")
    return accuracy, error


if __name__ == "__main__":
    main()
