"""Face or not: the reference CNN on the real images of ``skimage.data.lfw_subset()``, trained, validated, shown.

    python examples/face_recognition.py [--epochs 8] [--out out]

Every step runs as one compiled program. Ten steps are also run op by op in NumPy, and must give the same losses.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import seed_cnn

import leptonc

SIZE = 224
BATCH = 32
VALIDATION = 40
SEED = 0
EAGER_STEPS = 10
GOOD_ENOUGH = 0.97
LABELS = ("no face", "face")
EXTRA = "fix: pip install 'leptonc[examples]'"


@dataclass(frozen=True)
class Images:
    """``x``: f32[n, 224, 224, 3] in [0, 1]; ``labels``: i64[n], 1 for a face."""

    x: np.ndarray
    labels: np.ndarray

    @property
    def one_hot(self) -> np.ndarray:
        return np.eye(len(LABELS), dtype=np.float32)[self.labels]

    def __getitem__(self, index: Any) -> Images:
        return Images(self.x[index], self.labels[index])

    def __len__(self) -> int:
        return len(self.labels)


def load(size: int = SIZE) -> Images:
    """The 200 images (the first half are faces), enlarged, grey as three channels, in [0, 1]."""
    try:
        from skimage.data import lfw_subset
        from skimage.transform import resize
    except ImportError as error:
        raise SystemExit(f"face_recognition needs scikit-image ({error}); {EXTRA}") from None
    small = lfw_subset().astype(np.float32)
    small = (small - small.min()) / (small.max() - small.min())
    large = np.stack([resize(image, (size, size), order=1) for image in small]).astype(np.float32)
    labels = (np.arange(len(small)) < len(small) // 2).astype(np.int64)
    return Images(np.repeat(large[..., None], 3, axis=-1), labels)


def split(images: Images, seed: int = SEED) -> tuple[Images, Images]:
    """Training and validation images, shuffled, with as many faces as not in the validation part."""
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(images.labels == label))[:VALIDATION // 2] for label in (0, 1)])
    rest = rng.permutation(np.setdiff1d(np.arange(len(images)), chosen))
    return images[rest], images[rng.permutation(chosen)]


def probabilities(params: Any, images: Images) -> np.ndarray:
    """f32[n, 2]; the batch is filled up so that one compiled program serves every number of images."""
    out = []
    for start in range(0, len(images), BATCH):
        x = images.x[start:start + BATCH]
        padded = np.concatenate([x, np.zeros((BATCH - len(x), *x.shape[1:]), np.float32)])
        out.append(seed_cnn.predict(params, padded)[:len(x)])
    return np.concatenate(out)


def accuracy(params: Any, images: Images) -> float:
    return float((probabilities(params, images).argmax(1) == images.labels).mean())


@dataclass
class History:
    """One entry per step, one per epoch, and the compiled steps' times in seconds."""

    losses: list[float]
    train: list[float]
    validation: list[float]
    seconds: list[float]


def timed_step(params: Any, opt_state: Any, batch: Images) -> tuple[Any, float]:
    """(what a step gives, its seconds)."""
    began = time.perf_counter()
    result = seed_cnn.train_step(params, opt_state, batch.x, batch.one_hot)
    return result, time.perf_counter() - began


def train(images: Images, validation: Images, epochs: int) -> tuple[Any, History]:
    """Adam over shuffled batches of 32; the parameters of the best epoch. Stops when both accuracies are good enough.

    The first step's time includes compiling.
    """
    params = seed_cnn.init(SEED, images.x.shape[1:])
    opt_state = seed_cnn.init_opt(params)
    rng = np.random.default_rng(SEED)
    history, best = History([], [], [], []), params
    for epoch in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            batch = images[order[start:start + BATCH]]
            (params, opt_state, loss), seconds = timed_step(params, opt_state, batch)
            history.seconds.append(seconds)
            history.losses.append(float(loss))
        history.train.append(accuracy(params, images))
        history.validation.append(accuracy(params, validation))
        print(f"epoch {epoch + 1}: loss {history.losses[-1]:.4f}, accuracy {history.train[-1]:.3f}, "
              f"validation accuracy {history.validation[-1]:.3f}", flush=True)
        if history.validation[-1] == max(history.validation):
            best = leptonc.tree.map(np.copy, params)  # the step overwrites what it is given
        if history.validation[-1] >= GOOD_ENOUGH and history.train[-1] >= GOOD_ENOUGH:
            break
    return best, history


def side_by_side(images: Images) -> tuple[float, float]:
    """Ten steps, each compiled and eager from the same parameters: (largest relative difference of the losses before and after a
    step, speed-up). From one start on each its own way, the two would tell how training amplifies rounding."""
    params = seed_cnn.init(SEED, images.x.shape[1:])
    opt_state = seed_cnn.init_opt(params)
    loss_of, losses, after, seconds = leptonc.jit(seed_cnn.loss), [], [], []
    for step in range(EAGER_STEPS):
        batch = images[np.arange(step * BATCH, (step + 1) * BATCH) % len(images)]
        start, state = leptonc.tree.map(np.copy, (params, opt_state))  # a step overwrites what it is given
        (params, opt_state, loss), fast = timed_step(params, opt_state, batch)
        with leptonc.disable_jit():
            (other, _, eager_loss), slow = timed_step(start, state, batch)
        losses.append((float(loss), float(eager_loss)))
        after.append([float(loss_of(reached, batch.x, batch.one_hot)) for reached in (params, other)])
        seconds.append((fast, slow))
    fast, slow = np.median(seconds, axis=0)
    compiled, eager_losses = np.transpose(losses)
    print("step  compiled loss  eager loss")
    for step, (a, b) in enumerate(zip(compiled, eager_losses)):
        print(f"{step:4d}  {a:13.6f}  {b:10.6f}")
    both = np.array([*losses, *after])
    difference = float(np.max(np.abs(both[:, 0] - both[:, 1]) / np.abs(both[:, 1])))
    print(f"batch {BATCH}: compiled {fast * 1e3:.1f} ms a step, eager {slow * 1e3:.1f} ms, {slow / fast:.1f} times faster; "
          f"losses differ by at most {difference:.1e} relative")
    return difference, slow / fast


def draw(params: Any, validation: Images, history: History, out: Path) -> list[Path]:
    """A grid of validation pictures with their predicted labels, and the training curve."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit(f"face_recognition needs matplotlib ({error}); {EXTRA}") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    scores = probabilities(params, validation)
    figure, axes = plt.subplots(5, 8, figsize=(16, 11))
    for axis, image, score, label in zip(axes.ravel(), validation.x, scores, validation.labels):
        guess = int(score.argmax())
        axis.imshow(image)
        axis.set_title(f"{LABELS[guess]} {score[guess]:.0%}", color="green" if guess == label else "red", fontsize=10)
        axis.axis("off")
    figure.savefig(out / "faces.png", dpi=80, bbox_inches="tight")
    plt.close(figure)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.plot(history.losses)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.plot(history.train, label="training")
    right.plot(history.validation, label="validation")
    right.set(xlabel="epoch", ylabel="accuracy")
    right.legend()
    figure.savefig(out / "training_curve.png", dpi=80, bbox_inches="tight")
    plt.close(figure)
    return [out / "faces.png", out / "training_curve.png"]


def write_ir(out: Path) -> list[Path]:
    """The training step at every stage."""
    traced = seed_cnn.train_step.trace(*seed_cnn.train_step.examples())
    compiled = traced.lower().compile()
    written = []
    for stage in ("traced", "optimized", "kernels", "llvm", "asm"):
        path = out / f"train_step.{stage}.txt"
        path.write_text(compiled.as_text(stage))
        written.append(path)
    return written


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train the reference CNN on real face images.")
    parser.add_argument("--epochs", type=int, default=12, help="at most so many (default 12)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where pictures and IR go (default out)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    training, validation = split(load())
    print(f"{len(training)} training and {len(validation)} validation images, {SIZE}x{SIZE}x3")
    params, history = train(training, validation, options.epochs)
    step = np.median(history.seconds[1:]) * 1e3
    print(f"compiled step, batch {BATCH}: {step:.1f} ms (the first {history.seconds[0]:.2f} s, compiling included)")
    print(f"validation accuracy {max(history.validation):.3f}, of the best epoch")
    difference, _ = side_by_side(training)
    written = [*draw(params, validation, history, options.out), *write_ir(options.out)]
    print("written: " + ", ".join(map(str, written)))
    if difference > 1e-4:
        print("compiled and eager losses differ by more than 1e-4", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
