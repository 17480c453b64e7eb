"""What a new user does with a folder of pictures: train, see, save, load, predict. ``test_walk`` runs it in a terminal.

    python walk.py FOLDER OUT

FOLDER has a folder of pictures for each class. They are read as they are needed, with Pillow: TensorFlow is not installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from leptonc import keras, plot
from leptonc.keras import layers

SIZE, BATCH = 32, 16
folder, out = map(Path, sys.argv[1:])
names = sorted(path.name for path in folder.iterdir())
files = sorted(folder.glob("*/*.png"))
files = [files[n] for n in np.random.default_rng(0).permutation(len(files))]
held_out = len(files) // 4


def read(path: Path) -> np.ndarray:
    return keras.utils.img_to_array(keras.utils.load_img(path, color_mode="grayscale", target_size=(SIZE, SIZE)))


class Pictures(keras.utils.PyDataset):
    """Batches (f32[n, SIZE, SIZE, 1] in 0..255, class numbers), read by two threads while the model trains."""

    def __init__(self, files: list[Path]):
        super().__init__(workers=2)
        self.files = files

    def __len__(self) -> int:
        return -(-len(self.files) // BATCH)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.files[batch * BATCH:(batch + 1) * BATCH]
        return np.stack([read(path) for path in chosen]), np.array([names.index(path.parent.name) for path in chosen])


keras.utils.set_random_seed(0)
model = keras.Sequential([
    layers.Input((SIZE, SIZE, 1)),
    layers.Rescaling(1 / 255),
    layers.RandomFlip("horizontal"),
    layers.Conv2D(16, 3, activation="relu", name="edges"),
    layers.MaxPooling2D(2),
    layers.Conv2D(32, 3, activation="relu", name="parts"),
    layers.MaxPooling2D(2),
    layers.Flatten(),
    layers.Dense(len(names), activation="softmax", name="classes"),
])
model.summary()
model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
training, validation = Pictures(files[held_out:]), Pictures(files[:held_out])
history = model.fit(training, validation_data=validation, epochs=10)
loss, accuracy = model.evaluate(validation)
print(f"validation accuracy {accuracy:.2f}")

model.save(out / "faces.keras")
loaded = keras.saving.load_model(out / "faces.keras")
x, y = map(np.concatenate, zip(*[validation[n] for n in range(len(validation))]))
predicted = loaded.predict(x)
np.testing.assert_allclose(predicted, model.predict(x, verbose=0), rtol=1e-6)

plot.history(history, path=out / "history.png")
plot.predictions(x, predicted, y, names=names, path=out / "predictions.png")
plot.confusion_matrix(y, predicted, names=names, path=out / "confusion.png")
plot.filters(loaded, path=out / "filters.png")
plot.feature_maps(loaded, x[0], path=out / "feature_maps.png")
plot.saliency(loaded, x[0], names=names, path=out / "saliency.png")
plot.grad_cam(loaded, x[0], names=names, path=out / "grad_cam.png")
plot.graph(loaded, path=out / "graph.png")
print("pictures:", *sorted(path.name for path in out.glob("*.png")), sep="\n    ")
