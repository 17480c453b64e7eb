"""A fixed share of the fuzzer's programs, and whether the fuzzer itself would notice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leptonc import driver
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from leptonc.ir.op import get_op
from tests.fuzz import coverage
from tests.fuzz.campaign import MODULES, results
from tests.fuzz.check import Checker, fault_of
from tests.fuzz.elsewhere import NOT_DRAWN
from tests.fuzz.families import FAMILIES
from tests.fuzz.families_complex import COMPLEX_FAMILIES
from tests.fuzz.forms import every
from tests.fuzz.generate import program
from tests.fuzz.isolated import fails_like
from tests.fuzz.known import known
from tests.fuzz.program import NAMES, Index, Input, Program, Ref, Step, build, snippet, source
from tests.fuzz.reduce import reduced, size
from tests.fuzz.worker import NO_DERIVATIVE

pytestmark = pytest.mark.filterwarnings("ignore::leptonc.notices.LeptonWarning")  # programs mix dtypes, and donate anything
SHARE, CHUNK = 80, 20
DRAWN, MOST = 400, 1500  # programs that are drawn, and lowered until every pass has changed one


@pytest.mark.parametrize("first", range(0, SHARE, CHUNK))
def test_programs_are_right(first):
    """In a process of their own, so that a crash is a failure with a number."""
    seen = []
    for message in results(first, first + CHUNK, seconds=600, jobs=1, thorough=False):
        seen.append(message["done"])
        for way, text in message["faults"]:
            if known(way, text) is None:
                pytest.fail(_described(message["done"], way, text))
    assert seen == list(range(first, first + CHUNK))


def _described(seed: int, way: str, text: str) -> str:
    if way == "drawing":
        return f"program {seed}: {text}"
    found = reduced(program(seed), fails_like(program(seed), way, seed), 60)
    return f"python -m tests.fuzz --replay {seed}\n{way}: {text}\n\n{snippet(found)}"


NOT_DRAWN_PASSES = {  # compared by tests of their own
    "join-moments",  # wants larger arrays: passes/test_moments.py
}


def _reached():
    """Passes that changed something, and public names, over programs drawn, traced and lowered."""
    changed, names = Counter[str](), set()
    for seed in range(MOST):
        if seed >= DRAWN and all(changed[label] for label in coverage.labels() if label not in NOT_DRAWN_PASSES):
            break
        made = program(seed)
        names |= {f"{module}.{name}" for module, name in NAMES.findall(source(made))}
        if made.note and not all(changed[label] for label in coverage.labels() if label not in NOT_DRAWN_PASSES):
            changed.update(_changed(made))
    return changed, names


def _changed(made: Program) -> set[str]:
    watch, run = coverage.Watch(), build(made)
    try:
        with np.errstate(all="ignore"):
            traced = run.call.trace(*run.args)
    except LeptonError as error:
        assert NO_DERIVATIVE.search(str(error)), error
        return set()
    options = driver.Options(observe=watch.observe)
    driver.lower(driver.optimize(traced.graph, options), traced.interface.aliases(traced.graph), options)
    return watch.changed


APART = {"nn.initializers", "optim.global_norm", "lax.ConvDimensionNumbers", "lnp.newaxis", "lnp.ndarray", "lnp.inf",
         "lnp.nan"}  # no functions of arrays
# Made of functions that are drawn, and compared with NumPy, PyTorch and JAX by tests of their own: test_layers.py,
# test_modules.py, test_losses.py, test_random.py, peers.
COMPOSED = set("""
BatchNorm Conv ConvTranspose Dropout Embedding GRU GroupNorm KVCache LSTM LayerNorm Linear MLP MixedPrecision Module
MultiHeadAttention Parameter Policy RMSNorm Sequential SimpleRNN State StateIndex alpha_dropout combine ctc_loss
dot_product_attention dropout gaussian_dropout gru gru_cell inference_mode load lp_pool lstm lstm_cell partition save
simple_rnn simple_rnn_cell sinusoidal_positions spatial_dropout static logmeanexp scaled_matmul get_scaled_dot_general_config
scaled_dot_general
""".split())
DRAWN_NUMBERS = set("""
PRNGKey ball beta binomial categorical cauchy chisquare choice clone dirichlet double_sided_maxwell f gamma generalized_normal
geometric gumbel key_data key_impl laplace loggamma logistic lognormal maxwell multinomial multivariate_normal orthogonal pareto
permutation poisson rademacher rayleigh t triangular truncated_normal wald weibull_min wrap_key_data
""".split())
APART |= {f"{module}.{name}" for module, names in NOT_DRAWN.items() for name in names.split()}
APART |= {f"nn.{name}" for name in COMPOSED} | {f"random.{name}" for name in DRAWN_NUMBERS}


def test_every_pass_and_the_public_surface_are_reached():
    """By programs as they are drawn: each pass changes one; every name stands in some form, and these alone meet most of them. (One
    test: where tests run on several processes each would draw the programs for itself.)"""
    reached = _reached()
    assert [label for label in coverage.labels() if not reached[0][label] and label not in NOT_DRAWN_PASSES] == []
    whole = {f"{module}.{name}" for module, found in MODULES.items() for name in found.__all__} - APART
    forms = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    forms += "\n".join(text for family in (*FAMILIES, *COMPLEX_FAMILIES) for line in family.lines for text in every(line))
    assert whole - {f"{module}.{name}" for module, name in NAMES.findall(forms)} == set()
    assert len(whole - reached[1]) <= 0.25 * len(whole), sorted(whole - reached[1])


def test_a_program_is_the_same_each_time():
    assert [source(program(seed)) for seed in range(20)] == [source(program(seed)) for seed in range(20)]


def test_reduction_keeps_what_fails():
    """From a program of several steps to the one that is looked for."""
    steps = (Step(("v0",), "lnp.tanh({0})", (Ref("x0"),)), Step(("v1",), "{0}[{1}]", (Ref("v0"), Index((slice(None, None, 2),)))),
             Step(("v2",), "lnp.flip({0})", (Ref("v1"),)), Step(("v3",), "{0} + 1", (Ref("v2"),)))
    whole = Program((Input("x0", (8, 3), "f4", "normal", 0),), steps, ("v3",))

    def fails(candidate: Program) -> bool:
        try:
            Checker(candidate)
        except Exception:
            return False
        return any("flip" in s.form for s in candidate.steps)

    small = reduced(whole, fails, 30)
    assert [s.form for s in small.steps] == ["lnp.flip({0})"]
    assert size(small) < size(whole)


def test_a_planted_fault_is_found(monkeypatch):
    """A flip that forgets to turn: the checker sees it, compiled and not in the oracle."""
    steps = (Step(("v0",), "lnp.flip({0}, 0) * 2", (Ref("x0"),)),)
    made = Program((Input("x0", (4, 3), "f4", "normal", 0),), steps, ("v0",))
    assert fault_of(made, "compiled") is None
    checker = Checker(made)
    plain = driver.lower
    monkeypatch.setattr(driver, "lower", lambda graph, *rest: plain(_unflipped(graph), *rest))
    assert checker.run("compiled") is not None


def test_a_wrong_gradient_is_found(monkeypatch):
    """Op by op it is as wrong as compiled: differences tell."""
    steps = (Step(("v0",), "lnp.sum(lnp.tanh({0}) * {0})", (Ref("x0"),)),)
    made = Program((Input("x0", (4, 3), "f4", "normal", 0),), steps, ("v0",), mode="grad", wrt=("x0",))
    assert Checker(made).run("differences") is None
    monkeypatch.setattr(type(get_op("tanh")), "vjp", lambda self, g, y, *operands, **attrs: (g * y,))
    assert "by differences" in Checker(made).run("differences").text


def test_a_wrong_meaning_is_found(monkeypatch):
    """A flip of the wrong axis, traced and op by op: NumPy tells."""
    steps = (Step(("v0",), "lnp.flip({0}, 0)", (Ref("x0"),)),)
    made = Program((Input("x0", (4, 3), "f4", "normal", 0),), steps, ("v0",))
    assert Checker(made).run("numpy") is None
    plain = lnp.flip
    monkeypatch.setattr(lnp, "flip", lambda x, axis: plain(x, 1))
    assert Checker(made).run("numpy") is not None


def _unflipped(graph):
    def straight(node):
        attrs = dict(node.attrs)
        if node.op != "slice":
            return node
        return replace(node, attrs=tuple({**attrs, "start": (0, 0), "step": (1, 1)}.items()))

    return replace(graph, nodes=tuple(map(straight, graph.nodes)))
