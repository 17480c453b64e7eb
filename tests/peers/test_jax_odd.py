"""Some of the odd programs against JAX; ``python -m tests.peers.odd`` runs them all."""

from __future__ import annotations

import pytest

pytest.importorskip("jax")

pytestmark = pytest.mark.usefixtures("double_precision")

from tests.peers import odd, odd_loops, odd_rules, odd_training  # noqa: E402, F401


@pytest.mark.parametrize("name", [
    "none_inside_carry", "int_bool_carry_grad", "dus_fori_vmap", "while_in_scan_in_vmap", "zero_length_vmap_grad", "swap_carry",
    "custom_vjp_in_scan_in_vmap", "checkpoint_policies", "ckpt_int_dots", "residual_ints", "linear_transpose_scan",
    "pool_with_ties",
])
def test_programs(name):
    odd.check(name)
