"""Few programs that together reach every pass and most of the public names: ``python -m tests.fuzz.reach`` finds them anew.

To draw programs until the rarest pass has changed one takes half a minute; ``reach.txt`` has the numbers of those that the search
kept. A change of the generator, or of a pass, may make others of them.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leptonc import driver
from leptonc.errors import LeptonError
from tests.fuzz import coverage
from tests.fuzz.campaign import MODULES
from tests.fuzz.elsewhere import NOT_DRAWN
from tests.fuzz.generate import program
from tests.fuzz.program import NAMES, Program, build, source
from tests.fuzz.worker import has_no_derivative

MOST = 3000  # programs that are looked at
SHARE, ROOM = 0.75, 0.02  # of the public names that are to be met, and what the search goes beyond
LIST = Path(__file__).with_name("reach.txt")
FINDER = "python -m tests.fuzz.reach writes a list of programs that reach all there is"

NOT_DRAWN_PASSES = {  # compared by tests of their own
    "join-moments",  # wants larger arrays: passes/test_moments.py
    "split-scatters",  # wants a million updates: passes/test_scatters.py
}
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


def passes() -> set[str]:
    """The labels of passes that a program is to change."""
    return {*coverage.labels()} - NOT_DRAWN_PASSES


def public_names() -> set[str]:
    return {f"{module}.{name}" for module, found in MODULES.items() for name in found.__all__} - APART


def names_of(made: Program) -> set[str]:
    return {f"{module}.{name}" for module, name in NAMES.findall(source(made))}


def changed_by(made: Program) -> set[str]:
    """The labels of the passes that change a program on its way down; nothing is compiled or run."""
    watch, run = coverage.Watch(), build(made)
    try:
        with np.errstate(all="ignore"):
            traced = run.call.trace(*run.args)
    except LeptonError as error:
        assert has_no_derivative(error), error
        return set()
    options = driver.Options(observe=watch.observe)
    driver.lower(driver.optimize(traced.graph, options), traced.interface.aliases(traced.graph), options)
    return watch.changed


@dataclass
class Reach:
    """Seeds of programs to lower, and of those that need only be drawn."""

    lowered: list[int]
    drawn: list[int]

    @classmethod
    def listed(cls) -> Reach:
        return cls(*([*map(int, line.split(":")[1].split())] for line in LIST.read_text().splitlines() if line[:1] != "#"))

    def write(self) -> None:
        lists = (("lowered", self.lowered), ("drawn", self.drawn))
        text = "".join(f"{name}: {' '.join(map(str, sorted(seeds)))}\n" for name, seeds in lists)
        LIST.write_text("# Seeds, written by python -m tests.fuzz.reach\n" + text)

    def found(self) -> tuple[set[str], set[str]]:
        """(labels of passes, public names) of these programs."""
        lowered = [program(seed) for seed in self.lowered]
        names = set[str]().union(*map(names_of, (*lowered, *map(program, self.drawn))))
        return set[str]().union(*map(changed_by, lowered)), names


def searched() -> Reach:
    """Programs one by one until all is reached, then of these as few, and as quick ones, as a greedy choice finds."""
    costs, changed, names = dict[int, float](), dict[int, set[str]](), dict[int, set[str]]()
    reached, met, wanted = set[str](), set[str](), passes()
    most = int((SHARE + ROOM) * len(public_names()))
    for seed in range(MOST):
        if wanted <= reached and len(met) >= most + ROOM * len(public_names()):
            break
        start, made = time.process_time(), program(seed)
        names[seed] = names_of(made) & public_names()
        changed[seed] = changed_by(made) & wanted if made.note and not wanted <= reached else set()
        costs[seed] = time.process_time() - start
        reached, met = reached | changed[seed], met | names[seed]
    lowered = _chosen(changed, costs, len(reached), ())
    return Reach(lowered, _chosen(names, costs, min(most, len(met)), lowered)[len(lowered):])


def _chosen(sets: dict[int, set[str]], costs: dict[int, float], enough: int, given: Sequence[int]) -> list[int]:
    """Seeds behind those given until ``enough`` are reached: each time what reaches most for its cost."""
    chosen, reached = [*given], set[str]().union(*(sets[seed] for seed in given))
    while len(reached) < enough:
        best = max(sets, key=lambda seed: len(sets[seed] - reached) / costs[seed])
        chosen.append(best)
        reached |= sets[best]
    return chosen


def main() -> int:
    warnings.simplefilter("ignore")  # programs mix dtypes, and donate anything
    found = searched()
    found.write()
    labels, names = found.found()
    print(f"{len(found.lowered)} programs that are lowered, {len(found.drawn)} that are drawn; not reached: "
          f"{', '.join(sorted(passes() - labels)) or 'no pass'}, {len(public_names() - names)} of {len(public_names())} names")
    return int(labels < passes())


if __name__ == "__main__":
    sys.exit(main())
