"""The reference model: a small CNN of two convolutions, trained by one compiled step.

    python examples/seed_cnn.py
    leptonc dump examples/seed_cnn.py:train_step --stage optimized
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import leptonc
from leptonc import ShapeDtypeStruct, nn, optim

BATCH = 32
IMAGE = (224, 224, 3)
CLASSES = 2
LEARNING_RATE = 1e-3

optimizer = optim.adam(LEARNING_RATE)


def param_shapes(image: tuple[int, int, int] = IMAGE, classes: int = CLASSES) -> dict[str, dict[str, tuple[int, ...]]]:
    """The shape of every parameter for images of (height, width, channels).

    >>> param_shapes()["dense1"]["kernel"]
    (186624, 128)
    """
    height, width, channels = image
    # Each 3x3 convolution without padding takes a border of one pixel, each pool halves and drops an odd last row.
    rows, columns = (((n - 2) // 2 - 2) // 2 for n in (height, width))
    if rows < 1 or columns < 1:
        raise ValueError(f"image={image} is too small for two convolutions and two pools; the least is 10x10")
    kernels = {
        "conv1": (3, 3, channels, 32),
        "conv2": (3, 3, 32, 64),
        "dense1": (rows * columns * 64, 128),
        "dense2": (128, classes),
    }
    return {name: {"kernel": kernel, "bias": kernel[-1:]} for name, kernel in kernels.items()}


def init(seed: int, image: tuple[int, int, int] = IMAGE, classes: int = CLASSES) -> dict[str, dict[str, np.ndarray]]:
    """Fresh f32 parameters as Keras makes them: kernels Glorot-uniform, biases zero."""
    rng = np.random.default_rng(seed)
    glorot = nn.initializers.glorot_uniform()
    return {name: {"kernel": np.asarray(glorot(rng, shapes["kernel"]), np.float32),
                   "bias": np.zeros(shapes["bias"], np.float32)}
            for name, shapes in param_shapes(image, classes).items()}


def logits(params: Any, x: Any) -> Any:
    """f32[batch, classes] for images f32[batch, height, width, channels]."""
    for name in ("conv1", "conv2"):
        x = nn.relu(nn.conv(x, params[name]["kernel"]) + params[name]["bias"])
        x = nn.max_pool(x, 2)
    x = x.reshape((x.shape[0], -1))
    x = nn.relu(x @ params["dense1"]["kernel"] + params["dense1"]["bias"])
    return x @ params["dense2"]["kernel"] + params["dense2"]["bias"]


def loss(params: Any, x: Any, y: Any) -> Any:
    """Mean cross-entropy for one-hot labels ``y``, f32[batch, classes]."""
    return nn.cross_entropy(logits(params, x), y)


def init_opt(params: Any) -> Any:
    """Adam's state before the first step."""
    return optimizer.init(params)


def param_structs(image: tuple[int, int, int] = IMAGE, classes: int = CLASSES) -> dict[str, dict[str, Any]]:
    """The parameters as shapes alone, to trace with."""
    return {name: {part: ShapeDtypeStruct(shape, np.float32) for part, shape in shapes.items()}
            for name, shapes in param_shapes(image, classes).items()}


def _train_args() -> tuple[Any, ...]:
    params = param_structs()
    x, y = ShapeDtypeStruct((BATCH, *IMAGE), np.float32), ShapeDtypeStruct((BATCH, CLASSES), np.float32)
    return params, leptonc.eval_shape(init_opt, params), x, y


def _predict_args() -> tuple[Any, ...]:
    return param_structs(), ShapeDtypeStruct((BATCH, *IMAGE), np.float32)


@leptonc.jit(donate_argnums=(0, 1), example_args=_train_args)
def train_step(params: Any, opt_state: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """One step of Adam. Parameters and optimizer state are updated in place: use what is returned."""
    value, grads = leptonc.value_and_grad(loss)(params, x, y)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optim.apply_updates(params, updates), opt_state, value


@leptonc.jit(example_args=_predict_args)
def predict(params: Any, x: Any) -> Any:
    """f32[batch, classes]: the probability of each class."""
    return nn.softmax(logits(params, x))


def main(steps: int = 5, batch: int = BATCH, image: tuple[int, int, int] = IMAGE) -> list[float]:
    """Train on random images, printing the time of each step; returns the losses."""
    rng = np.random.default_rng(0)
    x = rng.random((batch, *image), np.float32)
    y = np.eye(CLASSES, dtype=np.float32)[rng.integers(CLASSES, size=batch)]
    params = init(0, image)
    opt_state = init_opt(params)
    losses = []
    for step in range(steps):
        start = time.perf_counter()
        params, opt_state, value = train_step(params, opt_state, x, y)
        losses.append(float(value))
        note = " (compiling included)" if step == 0 else ""
        print(f"step {step}: loss {losses[-1]:.4f}, {(time.perf_counter() - start) * 1e3:.1f} ms{note}", flush=True)
    return losses


if __name__ == "__main__":
    main()
