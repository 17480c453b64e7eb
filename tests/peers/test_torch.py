"""Gradients and outputs against PyTorch, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import seed_cnn

import leptonc
from leptonc import nn

torch = pytest.importorskip("torch")


def as_nchw(x):
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


def torch_gradients(params, x, y):
    """Gradients in leptonc's layouts (HWIO, and dense rows in NHWC order)."""
    def leaf(array):
        return torch.from_numpy(np.ascontiguousarray(array)).requires_grad_()

    kernels = {n: leaf(params[n]["kernel"].transpose(3, 2, 0, 1) if n.startswith("conv") else params[n]["kernel"]) for n in params}
    biases = {n: leaf(params[n]["bias"]) for n in params}
    z = as_nchw(x)
    for name in ("conv1", "conv2"):
        z = torch.nn.functional.max_pool2d(torch.relu(torch.nn.functional.conv2d(z, kernels[name], biases[name])), 2)
    z = z.permute(0, 2, 3, 1).flatten(1)
    z = torch.relu(z @ kernels["dense1"] + biases["dense1"]) @ kernels["dense2"] + biases["dense2"]
    value = torch.nn.functional.cross_entropy(z, torch.from_numpy(y))
    value.backward()
    grads = {n: {"kernel": k.grad.numpy().transpose(2, 3, 1, 0) if n.startswith("conv") else k.grad.numpy(),
                 "bias": biases[n].grad.numpy()} for n, k in kernels.items()}
    return float(value.detach()), grads


@pytest.mark.parametrize("image, batch", [((40, 36, 3), 8), ((224, 224, 3), 2)])
def test_gradients_of_the_reference_model(image, batch):
    rng = np.random.default_rng(5)
    params = seed_cnn.init(3, image)
    x = rng.random((batch, *image), np.float32)
    y = np.eye(2, dtype=np.float32)[rng.integers(0, 2, batch)]
    value, grads = leptonc.jit(leptonc.value_and_grad(seed_cnn.loss))(params, x, y)
    # in f64: in f32 near ties in a pool go either way, and PyTorch's own gradients are 2e-4 from the true ones here
    wanted_value, wanted = torch_gradients(*leptonc.tree.map(lambda a: a.astype(np.float64), (params, x, y)))
    np.testing.assert_allclose(value, wanted_value, rtol=1e-5)
    for name in params:
        for part in ("kernel", "bias"):
            a, b = grads[name][part], wanted[name][part]
            assert np.abs(a - b).max() <= 2e-5 * np.abs(b).max(), (name, part, np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("stride, padding, dilation, groups", [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 4), (3, 0, 1, 1)])
def test_conv_and_its_gradients(rng, stride, padding, dilation, groups):
    x, w = rng.standard_normal((2, 11, 9, 4)), rng.standard_normal((3, 3, 4 // groups, 8))
    tx, tw = as_nchw(x).requires_grad_(), torch.from_numpy(w.transpose(3, 2, 0, 1).copy()).requires_grad_()
    out = torch.nn.functional.conv2d(tx, tw, None, stride, padding, dilation, groups)
    (out**2).sum().backward()

    def f(x, w):
        return (nn.conv(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups) ** 2).sum()

    gx, gw = leptonc.jit(leptonc.grad(f, argnums=(0, 1)))(x, w)
    np.testing.assert_allclose(gx, np.moveaxis(tx.grad.numpy(), 1, -1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(gw, tw.grad.numpy().transpose(2, 3, 1, 0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["relu", "elu", "silu", "softplus", "sigmoid", "tanh"])
def test_activations_and_their_gradients(rng, name):
    x = rng.standard_normal(50) * 4
    tx = torch.from_numpy(x).requires_grad_()
    getattr(torch.nn.functional, name)(tx).sum().backward()
    grad = leptonc.jit(leptonc.grad(lambda x: getattr(nn, name)(x).sum()))(x)
    np.testing.assert_allclose(grad, tx.grad.numpy(), rtol=1e-9, atol=1e-12)
