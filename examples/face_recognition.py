"""The reference model learns to tell faces from other pictures, on the images of ``skimage.data.lfw_subset()``.

    python examples/face_recognition.py

First ten steps run compiled and eagerly side by side, then the model is trained. Pictures and the text of the compiled
step at three stages are written to out/ in the working directory.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import seed_cnn

import leptonc

OUT = Path("out")
SEED = 0
NAMES = ("other", "face")
TRAINING = 160  # of the 200 pictures; the other 40 validate
BATCH = 32
EAGER_BATCH = 4  # NumPy takes its time
COMPARED_STEPS = 10
TOLERANCE = 1e-4
MAX_EPOCHS = 10
ENOUGH = 0.95


@dataclass(frozen=True)
class Faces:
    """Pictures f32[n, height, width, 3] from 0 to 1, and their labels: positions in NAMES."""

    x: np.ndarray
    labels: np.ndarray

    @property
    def y(self) -> np.ndarray:
        """The labels one-hot, f32[n, 2]."""
        return np.eye(len(NAMES), dtype=np.float32)[self.labels]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Any) -> Faces:
        return Faces(self.x[rows], self.labels[rows])

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[Faces]:
        """Full batches in random order."""
        order = rng.permutation(len(self))
        for start in range(0, len(self) - size + 1, size):
            yield self.take(order[start:start + size])


@dataclass
class History:
    """What training went through, by epoch."""

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)


def load(image: tuple[int, int, int] = seed_cnn.IMAGE) -> tuple[Faces, Faces]:
    """(training, validation) pictures, shuffled with a fixed seed."""
    try:
        from skimage.data import lfw_subset
        from skimage.transform import resize
    except ImportError as error:
        sys.exit(f"this example needs scikit-image ({error}); fix: pip install 'leptonc[examples]'")
    pictures = lfw_subset()  # 25x25 grey values from 0 to 1; the first half are faces
    height, width, channels = image
    grey = np.stack([resize(picture, (height, width)) for picture in pictures]).astype(np.float32)
    x = np.repeat(np.clip(grey, 0, 1)[..., None], channels, axis=-1)
    labels = (np.arange(len(x)) < len(x) // 2).astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(x))
    faces = Faces(x, labels).take(order)
    return faces.take(slice(0, TRAINING)), faces.take(slice(TRAINING, None))


def compare(training: Faces, image: tuple[int, int, int], batch: int = EAGER_BATCH) -> float:
    """Train from the same weights on the same batches, compiled and eagerly; returns how much faster compiled is.

    Raises SystemExit if a loss differs by more than TOLERANCE relative.
    """
    print(f"\n{COMPARED_STEPS} steps of batch {batch}, compiled and eager:")
    batches = [training.take(slice(i * batch, (i + 1) * batch)) for i in range(COMPARED_STEPS)]
    compiled, compiled_seconds = _losses(batches, image)
    with leptonc.disable_jit():
        eager, eager_seconds = _losses(batches, image)
    worst = 0.0
    for step, (c, e) in enumerate(zip(compiled, eager)):
        difference = abs(c - e) / max(abs(e), 1e-12)
        worst = max(worst, difference)
        print(f"  step {step + 1:2}: loss compiled {c:.6f}, eager {e:.6f}, relative difference {difference:.1e}")
    speed_up = statistics.median(eager_seconds) / statistics.median(compiled_seconds)
    print(f"  largest relative difference {worst:.1e}; eager {statistics.median(eager_seconds) * 1e3:.0f} ms a step, "
          f"compiled {statistics.median(compiled_seconds) * 1e3:.1f} ms: {speed_up:.1f} times faster")
    if not worst <= TOLERANCE:
        sys.exit(f"compiled and eager losses differ by {worst:.1e}, more than {TOLERANCE:.0e}")
    return speed_up


def _losses(batches: list[Faces], image: tuple[int, int, int]) -> tuple[list[float], list[float]]:
    """Loss and seconds of each step from fresh weights."""
    params = seed_cnn.init(SEED, image)
    opt_state = seed_cnn.init_opt(params)
    losses, seconds = [], []
    for batch in batches:
        start = time.perf_counter()
        params, opt_state, value = seed_cnn.train_step(params, opt_state, batch.x, batch.y)
        losses.append(float(value))
        seconds.append(time.perf_counter() - start)
    return losses, seconds


def train(training: Faces, validation: Faces, image: tuple[int, int, int]) -> tuple[Any, History]:
    """The parameters of the best epoch, and the history. Stops when accuracy is ENOUGH."""
    print(f"\ntraining on {len(training)} pictures, batch {BATCH}; validating on {len(validation)}:")
    rng = np.random.default_rng(SEED)
    params = seed_cnn.init(SEED, image)
    opt_state = seed_cnn.init_opt(params)
    best: Any = params
    history = History()
    for epoch in range(1, MAX_EPOCHS + 1):
        losses = []
        for batch in training.batches(BATCH, rng):
            start = time.perf_counter()
            params, opt_state, value = seed_cnn.train_step(params, opt_state, batch.x, batch.y)
            losses.append(float(value))
            history.step_ms.append((time.perf_counter() - start) * 1e3)
        reached = accuracy(params, validation)
        print(f"  epoch {epoch:2}: loss {np.mean(losses):.4f}, validation accuracy {reached:.3f}, "
              f"{statistics.median(history.step_ms):.0f} ms a step", flush=True)
        if reached > max(history.accuracies, default=-1.0):
            best = leptonc.tree.map(np.copy, params)  # the next step writes over what it is given
        history.losses.append(float(np.mean(losses)))
        history.accuracies.append(reached)
        if reached >= ENOUGH:
            break
    return best, history


def accuracy(params: Any, faces: Faces) -> float:
    """The share of pictures whose label is predicted."""
    return float(np.mean(predicted(params, faces) == faces.labels))


def predicted(params: Any, faces: Faces) -> np.ndarray:
    """The most probable label of each picture."""
    return np.argmax(np.asarray(seed_cnn.predict(params, faces.x)), axis=-1)


def draw_faces(faces: Faces, labels: np.ndarray, path: Path, columns: int = 8) -> Path:
    """A grid of pictures titled with their predicted labels, wrong ones in red."""
    plt = _pyplot()
    rows = -(-len(faces) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.4 * columns, 1.6 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, label, truth in zip(axes.flat, faces.x, labels, faces.labels):
        axis.imshow(picture)
        axis.set_title(NAMES[label], fontsize=9, color="black" if label == truth else "red")
    figure.tight_layout()
    return _save(plt, figure, path)


def draw_curve(history: History, path: Path) -> Path:
    """Training loss and validation accuracy by epoch."""
    plt = _pyplot()
    epochs = range(1, len(history.losses) + 1)
    figure, axis = plt.subplots(figsize=(6, 4))
    axis.plot(epochs, history.losses, marker="o", color="tab:blue")
    axis.set_xlabel("epoch")
    axis.set_ylabel("training loss", color="tab:blue")
    axis.set_xticks(list(epochs))
    other = axis.twinx()
    other.plot(epochs, history.accuracies, marker="s", color="tab:orange")
    other.set_ylabel("validation accuracy", color="tab:orange")
    other.set_ylim(0, 1.05)
    figure.tight_layout()
    return _save(plt, figure, path)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        sys.exit(f"the pictures need matplotlib ({error}); fix: pip install 'leptonc[examples]'")
    matplotlib.use("Agg")  # files only, no display
    from matplotlib import pyplot

    return pyplot


def _save(plt: Any, figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


def write_texts(out: Path) -> list[Path]:
    """The training step traced, optimized and as kernels; returns the files."""
    lowered = seed_cnn.train_step.trace(*seed_cnn.train_step.examples()).lower()
    paths = []
    for stage in ("traced", "optimized", "kernels"):
        path = out / f"train_step.{stage}.txt"
        path.write_text(lowered.as_text(stage) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def main(out: Path = OUT, image: tuple[int, int, int] = seed_cnn.IMAGE) -> float:
    """Everything; returns the validation accuracy."""
    start = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    training, validation = load(image)
    compare(training, image)
    params, history = train(training, validation, image)
    labels = predicted(params, validation)
    reached = float(np.mean(labels == validation.labels))
    print(f"\nvalidation accuracy {reached:.3f}: {int(np.sum(labels == validation.labels))} of {len(validation)} right")
    print("predictions: " + " ".join(f"{NAMES[label]}{'' if label == truth else ' (wrong)'}"
                                     for label, truth in zip(labels, validation.labels)))
    written = [draw_faces(validation, labels, out / "faces.png"), draw_curve(history, out / "training_curve.png")]
    for path in written + write_texts(out):
        print(f"wrote {path}")
    print(f"finished in {time.perf_counter() - start:.0f} s")
    return reached


if __name__ == "__main__":
    main()
