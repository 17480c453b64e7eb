"""ONNX Runtime's forward pass on its own CPU kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.bench.cases import Case
from leptonc.bench.peers.common import Step, channels_first_data, channels_first_weights
from leptonc.config import available_cpus


def onnxruntime_step(case: Case) -> Step:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(_model(case), options, providers=["CPUExecutionProvider"])
    x = channels_first_data(case)[0]
    return lambda: session.run(None, {"x": x})[0]


def _model(case: Case) -> bytes:
    """The network in ONNX's operators, NCHW."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    tensors: list[Any] = []
    last = "x"
    weights = iter(channels_first_weights(case))

    def node(op: str, *inputs: str, **attributes: Any) -> None:
        nonlocal last
        nodes.append(helper.make_node(op, [last, *inputs], [f"t{len(nodes)}"], **attributes))
        last = f"t{len(nodes) - 1}"

    def tensor(array: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(array, f"w{len(tensors)}"))
        return f"w{len(tensors) - 1}"

    for number, (layer, shape) in enumerate(zip(case.layers, case.shapes())):
        if layer.kind == "pool":
            node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
            continue
        kernel, bias = next(weights)
        if layer.kind == "conv":
            node("Conv", tensor(kernel), tensor(bias), pads=[layer.padding] * 4)
        else:
            if len(shape) == 3:
                node("Flatten")
            node("Gemm", tensor(kernel), tensor(bias))
        if number + 1 < len(case.layers):
            node("Relu")
    spatial = [case.input[-1], *case.input[:-1]] if len(case.input) == 3 else list(case.input)
    graph = helper.make_graph(nodes, case.name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, [case.batch, *spatial])],
                              [helper.make_tensor_value_info(last, TensorProto.FLOAT, [case.batch, case.classes])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    out: bytes = model.SerializeToString()
    return out
