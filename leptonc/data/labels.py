"""Labels that a small model, trained on the other examples, does not believe: cleanlab judges, leptonc trains."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import leptonc
from leptonc import lax, nn, optim
from leptonc.data.extra import missing

try:
    from cleanlab.filter import find_label_issues
except ModuleNotFoundError as error:
    raise missing(error, "finds wrong labels") from None

FOLDS = 5
FEWEST = 2 * FOLDS  # examples of a class, below which nothing is said of its labels
BATCH, CHUNK = 64, 25
STEPS = 400  # of each fold, at most
EPOCHS = 60  # of each fold, at most
RATE = 3e-3
BETTER = 1.25  # times as often right as the most frequent class alone, or the model knows nothing


class Doubt(NamedTuple):
    """A label that is likely wrong: of which example, what it says, what the model says, and how sure it is (0..1)."""

    place: int
    given: int
    suggested: int
    confidence: float


class Opinion(NamedTuple):
    """``doubts``, the least believed first; ``note``: how good the model is, or why it was not asked."""

    doubts: list[Doubt]
    note: str


class PictureModel(nn.Module):
    """f32[n, 32, 32, channels] to class scores."""

    conv1: nn.Conv
    conv2: nn.Conv
    hidden: nn.Linear
    out: nn.Linear

    def __init__(self, channels: int, classes: int):
        self.conv1, self.conv2 = nn.Conv(channels, 8, 3), nn.Conv(8, 16, 3)
        self.hidden, self.out = nn.Linear(16 * 8 * 8, 32), nn.Linear(32, classes)

    def __call__(self, x: Any) -> Any:
        x = nn.max_pool(nn.relu(self.conv1(x)), 2)
        x = nn.max_pool(nn.relu(self.conv2(x)), 2)
        return self.out(nn.relu(self.hidden(x.reshape((x.shape[0], -1)))))


def opinion(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> Opinion:
    """``features``: numbers [n, ...], pictures if they are [n, 32, 32, channels]; ``labels``: class numbers i64[n].

    Classes of fewer than ten examples are left out.
    """
    counts = np.bincount(labels)
    known = np.flatnonzero(counts >= FEWEST)
    if len(known) < 2:
        return Opinion([], f"not checked: fewer than two classes have {FEWEST} examples")
    chosen = np.flatnonzero(np.isin(labels, known))
    classes = np.searchsorted(known, labels[chosen])
    probabilities = out_of_fold(scaled(features[chosen]), classes, seed)
    right, guessed = (probabilities.argmax(1) == classes).mean(), np.bincount(classes).max() / len(classes)
    note = f"a small model, asked about examples it was not trained on, agrees with {right:.0%} of the labels"
    if right < min(BETTER * guessed, (1 + guessed) / 2):
        return Opinion([], f"not checked: {note}, hardly more than guessing would")
    found = find_label_issues(classes, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return Opinion([Doubt(int(chosen[n]), int(known[classes[n]]), int(known[probabilities[n].argmax()]),
                          float(probabilities[n].max())) for n in found], note)


def scaled(features: np.ndarray) -> np.ndarray:
    """f32 of mean 0 and deviation 1: over all pixels, or for each column."""
    x = features.astype(np.float32)
    axes = tuple(range(x.ndim)) if x.ndim == 4 else 0
    return (x - x.mean(axes)) / np.maximum(x.std(axes), 1e-6)


def out_of_fold(x: np.ndarray, classes: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probabilities f64[n, classes], those of each example by a model that was trained without it."""
    count = int(classes.max()) + 1
    probabilities = np.empty((len(x), count))
    folds = _folds(classes, seed)
    for fold in range(FOLDS):
        model = _trained(x[folds != fold], classes[folds != fold], count, seed + fold)
        probabilities[folds == fold] = _predicted(model, x[folds == fold])
    return probabilities / probabilities.sum(1, keepdims=True)


def _folds(classes: np.ndarray, seed: int) -> np.ndarray:
    """The fold of each example: every class is spread over all of them."""
    order = np.random.default_rng(seed).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    folds = np.empty(len(classes), np.int64)
    folds[order] = np.arange(len(classes)) % FOLDS
    return folds


def _trained(x: np.ndarray, classes: np.ndarray, count: int, seed: int) -> Any:
    model: nn.Module = PictureModel(x.shape[-1], count) if x.ndim == 4 else nn.MLP(x.shape[1], [32], count)
    model = model.init(seed)
    rng = np.random.default_rng(seed)
    chunks = max(1, min(STEPS, EPOCHS * len(x) // BATCH) // CHUNK)
    carry = model, OPTIMIZER.init(model)
    for _ in range(chunks):
        picked = np.stack([rng.choice(len(x), BATCH, replace=len(x) < BATCH) for _ in range(CHUNK)])
        carry = _several_steps(carry, (x[picked], classes[picked].astype(np.int32)))
    return carry[0]


OPTIMIZER = optim.adam(RATE)


def _loss(model: Any, x: Any, y: Any) -> Any:
    return nn.cross_entropy(model(x), y)


@leptonc.jit
def _several_steps(carry: Any, batches: Any) -> Any:
    def step(carry: Any, batch: Any) -> Any:
        model, state = carry
        updates, state = OPTIMIZER.update(leptonc.grad(_loss)(model, *batch), state, model)
        return (optim.apply_updates(model, updates), state), ()

    return lax.scan(step, carry, batches)[0]


@leptonc.jit
def _probabilities(model: Any, x: Any) -> Any:
    return nn.softmax(model(x))


def _predicted(model: Any, x: np.ndarray) -> np.ndarray:
    """In batches of one shape, the last one filled up, so that one program serves all."""
    size = 256
    parts = []
    for start in range(0, len(x), size):
        part = x[start:start + size]
        padded = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
        parts.append(np.asarray(_probabilities(model, padded))[:len(part)])
    return np.concatenate(parts).astype(np.float64)
