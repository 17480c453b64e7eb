"""A fixed share of the campaign of ``tests/mutate_text.py``."""

from __future__ import annotations

from leptonc.ir import parse
from tests.mutate_text import campaign, corpus
from tests.text_runner import Runner

PROGRAM = """program @p(b0) -> (b1) arena 0 {{
  b0: input f32[8]
  b1: output f32[8]
  call k0(b0, b1)
}}

k0 = kernel @k(in a0: f32[8], out r0: f32[8]) {{
  stage (i: {extent}) {{
    %0 = load f32 a0[i]
    store r0[i] = %0
  }}
}}
"""


def test_texts_of_all_levels_are_changed():
    kinds = {type(parse(text)).__name__ for text in corpus()[::4]}
    assert kinds == {"Graph", "Kernel", "Prefix", "Program", "Sort"}


def test_changed_texts_are_rejected_or_mean_what_their_own_text_says():
    outcome = campaign(1500, seed=19, share=0.1)
    assert not outcome.faults, outcome.faults[0]
    assert outcome.counts["rejected"] > 500 and outcome.counts["accepted and changed"] > 30 and outcome.counts["run: same"] > 3


def test_the_process_tells_right_from_wrong():
    """A program that is right, one that is rejected, and a process that dies."""
    with Runner() as runner:
        assert runner.run(PROGRAM.format(extent=8)) == "same"
        assert runner.run(PROGRAM.format(extent=9)).startswith("raised: IRError")
        assert runner.process is not None
        runner.process.kill()
        assert runner.run(PROGRAM.format(extent=8)).startswith("died")
        assert runner.run(PROGRAM.format(extent=8)) == "same"
