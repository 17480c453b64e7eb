"""Steps of other systems, on the same weights and data."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.bench.cases import EPSILON, LEARNING_RATE, Case

Step = Callable[[], float]


def magnitude(x: np.ndarray) -> float:
    return float(np.abs(x).mean())


def torch_step(case: Case, layout: str) -> Step:
    """PyTorch, eager; ``layout``: nchw, channels_last, or plain for cases without images."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = _torch_model(case)
    x_array, labels = case.data()
    images = len(case.input) == 3
    x = torch.from_numpy(np.moveaxis(x_array, -1, 1).copy() if images else x_array)
    y = torch.from_numpy(labels)
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    if not case.training:
        def infer() -> float:
            with torch.inference_mode():
                return magnitude(model(x).numpy())

        return infer
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, eps=EPSILON, fused=True)
    criterion = torch.nn.CrossEntropyLoss()

    def step() -> float:
        optimizer.zero_grad()
        value = criterion(model(x), y)
        value.backward()
        optimizer.step()
        return float(value.item())

    return step


def _torch_model(case: Case) -> Any:
    import torch

    modules: list[Any] = []
    weights = iter(case.weights())
    for number, (layer, shape) in enumerate(zip(case.layers, case.shapes())):
        if layer.kind == "pool":
            modules.append(torch.nn.MaxPool2d(2))
            continue
        kernel, bias = next(weights)
        if layer.kind == "conv":
            made: Any = torch.nn.Conv2d(shape[-1], layer.units, 3, padding=layer.padding)
            kernel = kernel.transpose(3, 2, 0, 1)
        else:
            if len(shape) == 3:  # flattened NCHW here, NHWC in the kernel
                modules.append(torch.nn.Flatten())
                kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            made = torch.nn.Linear(*kernel.shape)
            kernel = kernel.T
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
            made.bias.copy_(torch.from_numpy(bias))
        modules.append(made)
        if number + 1 < len(case.layers):
            modules.append(torch.nn.ReLU())
    return torch.nn.Sequential(*modules)


def onnxruntime_step(case: Case) -> Step:
    """ONNX Runtime's forward pass on its own CPU kernels."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(_onnx_model(case), options, providers=["CPUExecutionProvider"])
    x = case.data()[0]
    x = np.moveaxis(x, -1, 1).copy() if len(case.input) == 3 else x
    return lambda: magnitude(session.run(None, {"x": x})[0])


def _onnx_model(case: Case) -> bytes:
    """The network in ONNX's operators, NCHW."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    tensors: list[Any] = []
    last = "x"
    weights = iter(case.weights())

    def node(op: str, *inputs: str, **attributes: Any) -> None:
        nonlocal last
        nodes.append(helper.make_node(op, [last, *inputs], [f"t{len(nodes)}"], **attributes))
        last = f"t{len(nodes) - 1}"

    def tensor(array: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), f"w{len(tensors)}"))
        return f"w{len(tensors) - 1}"

    for number, (layer, shape) in enumerate(zip(case.layers, case.shapes())):
        if layer.kind == "pool":
            node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
            continue
        kernel, bias = next(weights)
        if layer.kind == "conv":
            node("Conv", tensor(kernel.transpose(3, 2, 0, 1)), tensor(bias), pads=[layer.padding] * 4)
        else:
            if len(shape) == 3:
                node("Flatten")
                kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            node("Gemm", tensor(kernel), tensor(bias))
        if number + 1 < len(case.layers):
            node("Relu")
    spatial = [case.input[-1], *case.input[:-1]] if len(case.input) == 3 else list(case.input)
    graph = helper.make_graph(nodes, case.name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, [case.batch, *spatial])],
                              [helper.make_tensor_value_info(last, TensorProto.FLOAT, [case.batch, case.classes])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    out: bytes = model.SerializeToString()
    return out
