"""Bodies of loops as programs: what they hold."""

from __future__ import annotations

import leptonc
from leptonc import driver

TWICE = """
graph @loop(%0: f32[3]) {
  %1: f32[3] = while_loop(%0) {consts = 0} regions [
    graph @condition(%0: f32[3]) {
      %1: f32[] = sum(%0) {axes = (0,)}
      %2: f32[] = constant() {value = f32[]<9.0>}
      %3: bool[] = lt(%1, %2)
      return %3
    }
    graph @body(%0: f32[3]) {
      %1: f32[3] = constant() {value = f32[3]<1.0, 2.0, 3.0>}
      %2: f32[3] = mul(%0, %1)
      %3: f32[3] = constant() {value = f32[3]<1.0, 2.0, 3.0>}
      %4: f32[3] = add(%2, %3)
      return %4
    }
  ]
  return %1
}
"""


def test_constants_of_a_body_that_are_equal_are_one_operand_of_the_loop():
    """A body has no constants of its own, so the second one must not stay behind in it."""
    program = driver.lower(leptonc.ir.parse(TWICE))
    assert [b.kind for b in program.buffers].count("constant") == 1
