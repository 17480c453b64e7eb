"""Decoding of what CTC was trained on, against all paths of a short sequence, added up one by one."""

from __future__ import annotations

import itertools
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc
import leptonc.keras
from leptonc.keras.src.ops.nn import ctc_decode


def chances(scores, blank):
    """(labels, logarithm of their chance) of all that the steps may spell, the likeliest first."""
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        labels = tuple(label for label, _ in itertools.groupby(path) if label != blank)
        found[labels] = np.logaddexp(found.get(labels, -np.inf), sum(scores[t, c] for t, c in enumerate(path)))
    return sorted(found.items(), key=lambda pair: -pair[1])


@pytest.mark.parametrize(("steps", "classes", "blank"), [(4, 3, 0), (3, 4, 2), (1, 2, 1), (4, 2, None)])
def test_beam_search_finds_the_likeliest_of_all_paths(steps, classes, blank):
    rng = np.random.default_rng([steps, classes])
    logits = rng.normal(size=(3, steps, classes)).astype("float32")
    lengths = np.array([steps, max(steps - 1, 1), 1], "int32")

    def decode(logits, lengths):
        return ctc_decode(logits, lengths, "beam_search", beam_width=40, top_paths=2, mask_index=blank)

    scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for paths, found in (decode(logits, lengths), leptonc.jit(decode)(logits, lengths)):
        for row, length in enumerate(lengths):
            expected = chances(scores[row, :length], classes - 1 if blank is None else blank)[:2]
            assert [tuple(label for label in path if label >= 0) for path in paths[:, row]] == [labels for labels, _ in expected]
            np.testing.assert_allclose(found[row], [chance for _, chance in expected], rtol=1e-4)


def test_a_narrow_beam_keeps_a_prefix_that_was_reached_in_two_ways():
    """"a" by "aa", "a-" and "-a", against "b", which only "bb" and one blank with it reach more seldom."""
    logits = np.log(np.array([[[0.4, 0.35, 0.25], [0.4, 0.35, 0.25]]], "float32"))
    (path,), ((chance,),) = ctc_decode(logits, [2], "beam_search", beam_width=3)
    assert list(path[0]) == [1, -1] and np.exp(chance) == pytest.approx(0.35 * 0.35 + 2 * 0.4 * 0.35, rel=1e-5)


@pytest.mark.parametrize(("merged", "expected"), [(True, [1, 1, 2, -1, -1]), (False, [1, 1, 1, 2, -1])])
def test_greedy_takes_the_likeliest_class_of_each_step(merged, expected):
    logits = np.eye(3, dtype="float32")[[1, 1, 0, 1, 2]][None] * 2
    for decode in (ctc_decode, leptonc.jit(ctc_decode, static_argnames=("merge_repeated",))):
        (path,), score = decode(logits, np.array([5], "int32"), merge_repeated=merged)
        assert list(path[0])[:len(expected)] == (expected if merged else [1, 1, 1, 2, -1]) and score == -10


def test_another_strategy_is_an_error():
    with pytest.raises(ValueError, match="'greedy' and 'beam_search'"):
        ctc_decode(np.zeros((1, 2, 3), "float32"), [2], "best")
