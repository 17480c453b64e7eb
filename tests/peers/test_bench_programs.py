"""The benchmark's programs are the same networks in every system: their losses agree, step after step."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc.bench.programs import TINY_PROGRAMS
from leptonc.bench.systems import make

SYSTEMS = [("torch", "channels_last"), ("jax", "jit"), ("tensorflow", "keras function")]


@pytest.mark.parametrize("system, mode", SYSTEMS, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("program", TINY_PROGRAMS.values(), ids=lambda program: program.name)
def test_a_program_agrees(system, mode, program):
    pytest.importorskip(system)
    if not program.images and system == "torch":
        mode = "plain"
    ours, theirs = make("leptonc", "compiled", program), make(system, mode, program)
    for _ in range(5):
        np.testing.assert_allclose(theirs(), ours(), rtol=1e-5, atol=1e-6)
