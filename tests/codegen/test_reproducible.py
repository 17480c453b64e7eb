"""The same program is the same text, at every stage, whatever a process makes of hashes."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.setting import ROOT

PROGRAM = """
import numpy as np
import leptonc
from leptonc import driver, lax, nn
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from tests.fuzz import generate
from tests.fuzz.program import build
from tests.fuzz.worker import has_no_derivative

PROGRAMS = 30


def convolutions(w, v, x):
    y = nn.max_pool(nn.relu(nn.conv(x, w, padding=1)), 2)
    return lnp.sum(nn.log_softmax(y.reshape(y.shape[0], -1) @ v) ** 2)


def rest(x, n):
    carry, ys = lax.scan(lambda c, row: (c * 0.5 + row, lnp.sort(c)), x[0], x)
    masked = lnp.mean(x, axis=1, where=lnp.arange(40) < n[:, None])
    return masked, ys, lnp.cumsum(carry), lnp.fft.rfft(x), lnp.linalg.solve(x @ x.T, x)


def texts(program):
    return program, *(driver.emit(program, stage) for stage in ("step", "llvm"))


images = leptonc.grad(convolutions, argnums=(0, 1)), [np.ones(s, np.float32) for s in ((3, 3, 3, 16), (400, 10), (4, 10, 10, 3))]
for f, arrays in (images, (rest, [np.ones((24, 40), np.float32), np.ones(24, np.int32)])):
    print(*texts(driver.lower(driver.optimize(leptonc.jit(f).trace(*arrays).graph))))

for seed in range(PROGRAMS):
    made = build(generate.program(seed))
    try:
        traced = made.call.trace(*made.args)
    except LeptonError as error:
        assert has_no_derivative(error), error
        continue
    graph = driver.optimize(traced.graph)
    print(traced.graph, graph, *texts(driver.lower(graph, traced.interface.aliases(traced.graph))))
"""


def test_texts_are_the_same_in_each_process():
    found = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
        found.append(done.stdout)
    assert len(found[0]) > 1_000_000
    assert found[0] == found[1]
