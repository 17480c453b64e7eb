"""What is made of equal kernels: worked out once, and the program that working it out for each would give."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.ir.kernel import Program
from leptonc.ir.text import print_program
from leptonc.passes.loops.alike import Alike


def network(size: int, channels: int) -> Program:
    """The gradient of four equal convolutions, and of one that is not."""
    def loss(x, ws, last):
        for w in ws:
            x = nn.relu(nn.conv(x, w, padding="SAME") + 1.0)
        return lnp.sum(nn.conv(x, last, padding="SAME"))

    x, w = np.ones((4, size, size, channels), "f4"), np.ones((3, 3, channels, channels), "f4")
    graph = leptonc.make_graph(leptonc.grad(loss, argnums=(1, 2)))(x, (w,) * 4, w)
    return driver.lower(driver.optimize(graph))


@pytest.mark.parametrize("size, channels", [(32, 32), (8, 128)])  # by tiles; stage by stage
def test_the_program_is_that_of_each_worked_out(monkeypatch, size, channels):
    asked, worked_out, of_all = [], [], Alike.tasks
    with monkeypatch.context() as m:
        m.setattr(Alike, "tasks", lambda self, task, others, key, make: asked.append(task) or make())
        each = print_program(network(size, channels))
    monkeypatch.setattr(Alike, "tasks", lambda self, task, others, key, make: of_all(
        self, task, others, key, lambda: worked_out.append(task) or make()))
    assert print_program(network(size, channels)) == each
    assert len(asked) >= 8 and len(worked_out) <= len(asked) - 3
