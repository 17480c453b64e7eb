"""PyTorch, eager or through torch.compile."""

from __future__ import annotations

from typing import Any

from leptonc.bench.cases import EPSILON, LEARNING_RATE, Case
from leptonc.bench.peers.common import Step, channels_first_data, channels_first_weights
from leptonc.config import available_cpus


def torch_step(case: Case, layout: str, compiled: bool) -> Step:
    """``layout``: nchw, channels_last, or plain for cases without images. ``compiled``: model and loss go through torch.compile;
    the optimizer is PyTorch's own fused kernel either way."""
    import torch

    torch.set_num_threads(available_cpus())
    model = _model(case)
    x, y = (torch.from_numpy(array) for array in channels_first_data(case))
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    wrap: Any = torch.compile if compiled else lambda function: function
    if not case.training:
        forward = wrap(model)

        def infer() -> Any:
            with torch.inference_mode():
                return forward(x).numpy()

        return infer
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, eps=EPSILON, fused=True)
    criterion = torch.nn.CrossEntropyLoss()
    loss = wrap(lambda x, y: criterion(model(x), y))

    def step() -> float:
        optimizer.zero_grad()
        value = loss(x, y)
        value.backward()
        optimizer.step()
        return float(value.item())

    return step


def _model(case: Case) -> Any:
    import torch

    modules: list[Any] = []
    weights = iter(channels_first_weights(case))
    for number, (layer, shape) in enumerate(zip(case.layers, case.shapes())):
        if layer.kind == "pool":
            modules.append(torch.nn.MaxPool2d(2))
            continue
        kernel, bias = next(weights)
        if layer.kind == "conv":
            made: Any = torch.nn.Conv2d(shape[-1], layer.units, 3, padding=layer.padding)
        else:
            if len(shape) == 3:
                modules.append(torch.nn.Flatten())
            made = torch.nn.Linear(*kernel.shape)
            kernel = kernel.T
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(kernel))
            made.bias.copy_(torch.from_numpy(bias))
        modules.append(made)
        if number + 1 < len(case.layers):
            modules.append(torch.nn.ReLU())
    return torch.nn.Sequential(*modules)
