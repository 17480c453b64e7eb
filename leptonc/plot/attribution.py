"""Which pixels a prediction comes from: gradients of a class's score."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import leptonc
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, RangeError, ShapeError, op_error
from leptonc.plot.figures import NORMAL, SMALL, cells, finished, named, new, show
from leptonc.plot.images import pictures
from leptonc.plot.watch import Call, calls, check, find, inputs, layers_of, run, variables, watched, without_squashing

MOST = 8  # images of a batch that are drawn


def saliency(model: Any, image: Any, target: Any = None, *, names: Any = None, path: str | os.PathLike[str] | None = None) -> Any:
    """How strongly each pixel moves the score of a class: the largest |gradient| over its channels (Simonyan et al. 2013).

    ``image``: one or a batch (the first 8 are drawn), as ``model.predict`` takes them; ``target``: the class, or one for each
    image; None: what the model predicts. ``names``: of the classes. The score is that before a final softmax or sigmoid. Returns a
    Figure. Raises ArgumentError, ShapeError or RangeError for what does not fit the model.
    """
    x, chain = _prepared("saliency", model, image)
    classes, sure = _targets("saliency", model, x, target)
    _, gradient = _gradient(model, x, classes, chain, None)
    heat = np.abs(gradient).max(-1)
    return finished(_drawn(x, heat / _largest(heat), classes, sure, names, "saliency"), path)


def grad_cam(model: Any, image: Any, layer: Any = None, target: Any = None, *, names: Any = None,
             path: str | os.PathLike[str] | None = None) -> Any:
    """Where a class is seen: the maps of a layer, weighted by the mean gradient of its score (Grad-CAM, Selvaraju et al. 2017).

    ``layer``: a layer that gives maps, its name, or its number; None: the last one. Other arguments, result and errors as those of
    ``saliency``.
    """
    x, chain = _prepared("grad_cam", model, image)
    chosen = _maps_layer(model, chain, layer)
    classes, sure = _targets("grad_cam", model, x, target)
    maps, gradient = _gradient(model, x, classes, chain, chosen)
    weights = gradient.mean((1, 2), keepdims=True)
    heat = np.maximum((maps * weights).sum(-1), 0)
    heat = np.stack([enlarged(part, x.shape[1:3]) for part in heat / _largest(heat)])
    return finished(_drawn(x, heat, classes, sure, names, f"Grad-CAM of {chosen.name}"), path)


def _prepared(what: str, model: Any, image: Any) -> tuple[np.ndarray, list[Call]]:
    check(what, model)
    x = inputs(what, model, image)[:MOST]
    if x.ndim != 4 or x.shape[-1] not in (1, 3, 4):
        raise op_error(f"plot.{what}", "wants a model of images, of 1, 3 or 4 channels last", {"image": x})
    return x, calls(model, x)


def _maps_layer(model: Any, chain: list[Call], layer: Any) -> Any:
    with_maps = [call.layer for call in chain if len(call.shape) == 4 and call.shape[1] * call.shape[2] > 1]
    if layer is None:
        found = [item for item in with_maps if type(item).__name__ != "InputLayer"]
        if not found:
            raise ShapeError("plot.grad_cam: no layer of the model gives maps [n, height, width, channels]")
        return found[-1]
    chosen = find("grad_cam", model, layer)
    if not any(item is chosen for item in with_maps):
        raise ShapeError(f"plot.grad_cam: layer {chosen.name} gives no maps [n, height, width, channels]")
    return chosen


def _targets(what: str, model: Any, x: np.ndarray, target: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """(the class of each image, its probability if the model gives any)."""
    out = leptonc.jit(lambda values, x: run(model, values, x))(variables(model), x)
    if not isinstance(out, np.ndarray) or out.ndim != 2:
        raise ShapeError(f"plot.{what}: the model must give one row of class scores [n, classes] for each image")
    count = max(2, out.shape[1])
    rows = out if out.shape[1] > 1 else np.concatenate([1 - out, out], 1)
    classes = rows.argmax(1) if target is None else np.broadcast_to(np.asarray(target), len(x))
    if classes.dtype.kind not in "iu":
        raise op_error(f"plot.{what}", "target must be class numbers", {"target": target}, kind=ArgumentError)
    if classes.min() < 0 or classes.max() >= count:
        raise RangeError(f"plot.{what}: target {target} is out of range; the model has classes 0 to {count - 1}")
    likely = (rows >= 0).all() and np.allclose(rows.sum(1), 1, atol=0.02)
    return classes.astype(np.int32), rows[np.arange(len(x)), classes] if likely else None


def _gradient(model: Any, x: np.ndarray, classes: np.ndarray, chain: list[Call], layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """(values, gradient of the classes' scores) at the result of ``layer``, or at the input if that is None."""
    last = next((call.layer for call in chain[::-1] if call.last), None)
    shape = x.shape if layer is None else [call.shape for call in chain if call.layer is layer][-1]
    calls_left = sum(call.layer is layer for call in chain)

    def score(nudge: Any, values: Any, x: Any) -> Any:
        """Of all images; ``nudge`` is 0, and has the gradient of what it is added to."""
        left, seen = [calls_left], [x]

        def nudged(called: Any, result: Any) -> Any:
            left[0] -= 1
            if left[0]:  # of a layer that is called several times, the last call counts
                return result
            seen[0] = result
            return result + nudge

        with watched([] if layer is None else [layer], nudged), without_squashing(last):
            out = run(model, values, x + nudge if layer is None else x)
        if out.shape[1] == 1:
            return lnp.sum(out[:, 0] * (2 * classes - 1)), seen[0]
        return lnp.sum(out * np.eye(out.shape[1], dtype=np.float32)[classes]), seen[0]

    if layer is None or any(layer is item for item in layers_of(model)):
        both = leptonc.jit(leptonc.value_and_grad(score, has_aux=True))
        (_, seen), gradient = both(np.zeros(shape, np.float32), variables(model), x)
        return np.asarray(seen), np.asarray(gradient)
    raise ArgumentError(f"plot.grad_cam: {layer.name} is a model of its own; fix: one of its layers")


def _largest(heat: np.ndarray) -> np.ndarray:
    """Of each image, never 0."""
    largest = heat.max((1, 2), keepdims=True)
    return np.where(largest > 0, largest, 1)


def enlarged(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """f32[a, b] as f32[``shape``], between the values linearly."""
    for axis, extent in enumerate(shape):
        at = np.clip((np.arange(extent) + 0.5) * x.shape[axis] / extent - 0.5, 0, x.shape[axis] - 1)
        low = at.astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        part = (at - low)[:, None] if axis == 0 else at - low
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def _drawn(x: np.ndarray, heat: np.ndarray, classes: np.ndarray, sure: np.ndarray | None, names: Any, what: str) -> Any:
    """A row of image, heat and both for each image."""
    images = pictures(what, x)
    size = 2.3
    figure = new(3 * size, (size * min(1.5, x.shape[1] / x.shape[2]) + 0.22) * len(x))
    axes = cells(figure, 3 * len(x), 3)
    for n, image in enumerate(images):
        first, second, third = axes[3 * n:3 * n + 3]
        title = f"{named(names, int(classes[n]))}" + ("" if sure is None else f" {100 * sure[n]:.0f} %")
        show(first, image, title)
        show(second, heat[n], what if not n else "", cmap="inferno")
        if not heat[n].any():
            second.text(0.5, 0.5, "nothing here speaks for it", transform=second.transAxes, color="white", fontsize=SMALL + 1,
                        ha="center")
        show(third, _grey(image), "both" if not n else "")
        third.imshow(heat[n], cmap="inferno", vmin=0, vmax=1, alpha=0.25 + 0.45 * np.sqrt(np.nan_to_num(heat[n])).clip(0, 1))
        for cell in (first, second, third):
            cell.title.set_fontsize(NORMAL)
    return figure


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else image[..., :3].mean(-1)
