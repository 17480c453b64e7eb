"""Einstein summation: operands named by letters for their axes, contracted two at a time in an order that costs little."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from leptonc.accumulation import checked_precision, preferring
from leptonc.arguments import array as array_of
from leptonc.arguments import items as items_of
from leptonc.errors import ArgumentError, op_error
from leptonc.numpy.linear import product
from leptonc.numpy.reductions import sum as _sum
from leptonc.numpy.triangles import diagonal
from leptonc.trace import bind, promote

Path = list[tuple[int, ...]]

_SORTED_LETTERS = string.ascii_uppercase + string.ascii_lowercase  # of the numbers 0 to 51, as NumPy has it
_MOST_FOR_OPTIMAL = 5  # operands: beyond them a search of all orders, whose number is factorial, takes longer than a second


class Term(NamedTuple):
    """An operand and the letters of its axes."""

    letters: str
    array: Any


def einsum(subscripts: Any, /, *operands: Any, optimize: Any = "auto", precision: Any = None,
           preferred_element_type: Any = None) -> Any:
    """Einstein summation: ``einsum("ij,jk->ik", x, y)``, or ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.

    A letter that the result lacks is summed over, one that an operand names twice means its diagonal, ``...`` stands for axes that
    broadcast. Without ``->`` the result has the axes of ``...``, then the letters that stand once, in order. Axes of one letter
    have one extent, or 1. Operands are contracted two at a time: ``optimize`` is "optimal", "greedy", True or "auto" (the first
    for up to 5 operands, else the second), False for left to right, or a path such as ``[(0, 2), (0, 1)]``: places of operands,
    which leave the list, and what they make goes to its end. ``preferred_element_type``: a dtype to add up in, and of the result;
    ``precision``, JAX's, changes nothing. Raises ShapeError for subscripts that do not fit, ArgumentError for what are none.
    """
    checked_precision("einsum", precision)
    text, given = _called(subscripts, operands)
    promoted = promote(*(array_of("einsum", f"operand {n}", x) for n, x in enumerate(given)))
    arrays = list(preferring("einsum", preferred_element_type, *promoted))
    terms, result = _named(text, arrays)
    _check(text, terms, result)
    terms = _without_ones([_without_repeats(term) for term in terms])
    path = _path(terms, result, optimize)
    for places in path:
        terms = _contracted(terms, places, result)
    return _arranged(terms[0], result)


def _called(subscripts: Any, operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Subscripts as text, and the operands, of either way to call."""
    if isinstance(subscripts, str) and operands:
        return subscripts.replace(" ", ""), operands
    if isinstance(subscripts, str) or not operands:
        raise op_error("einsum", "wants subscripts such as 'ij,jk->ik', then the operands", {"subscripts": repr(subscripts)},
                       kind=ArgumentError)
    parts = (subscripts, *operands)
    pairs = len(parts) // 2
    text = ",".join(_letters(part) for part in parts[1:2 * pairs:2])
    return text + ("->" + _letters(parts[-1]) if len(parts) % 2 else ""), parts[:2 * pairs:2]


def _letters(numbers: Any) -> str:
    """A list of axes' numbers and Ellipsis as letters in the same order."""
    if not isinstance(numbers, list | tuple) or not all(n is Ellipsis or _is_number(n) for n in numbers):
        raise op_error("einsum", "wants subscripts such as 'ij,jk->ik' before the operands, or behind each a list of its axes: "
                       "ints from 0 to 51 and ...", {"subscripts": numbers}, kind=ArgumentError)
    return "".join("..." if n is Ellipsis else _SORTED_LETTERS[n] for n in numbers)


def _is_number(n: Any) -> bool:
    return isinstance(n, int | np.integer) and not isinstance(n, bool) and 0 <= int(n) < len(_SORTED_LETTERS)


def _named(text: str, arrays: list[Any]) -> tuple[list[Term], str]:
    """Each operand with a letter for each axis, those of ``...`` included, and the result's letters."""
    left, arrow, result = text.partition("->")
    parts = left.split(",")
    named = _shown(arrays)
    if not all(_is_term(part) for part in (*parts, result)):
        raise op_error("einsum", f"{text!r} may hold letters, commas, one -> and one ... a term", named)
    if len(parts) != len(arrays):
        raise op_error("einsum", f"{text!r} has {len(parts)} terms for {len(arrays)} operands", named)
    hidden = [_hidden(text, part, n, arrays) for n, part in enumerate(parts)]
    free = [c for c in string.ascii_letters if c not in left + result][:max(hidden)]
    if len(free) < max(hidden):
        raise op_error("einsum", f"{text!r} names more than {len(string.ascii_letters)} axes", named)
    if not arrow:
        result = "..." + "".join(sorted(c for c in set(left) - set(".,") if left.count(c) == 1))
    terms = [Term(part.replace("...", "".join(free[len(free) - count:])), x) for part, count, x in zip(parts, hidden, arrays)]
    return terms, result.replace("...", "".join(free))


def _is_term(part: str) -> bool:
    letters = part.replace("...", "", 1)
    return not letters or (letters.isascii() and letters.isalpha())


def _hidden(text: str, part: str, n: int, arrays: list[Any]) -> int:
    """How many axes ``...`` stands for in a term."""
    count = len(arrays[n].shape) - len(part.replace("...", ""))
    if count < 0 or (count and "..." not in part):
        raise op_error("einsum", f"{part!r} of {text!r} does not name each axis of its operand", _shown(arrays))
    return count


def _shown(arrays: Sequence[Any]) -> dict[str, object]:
    return {f"x{n}": x for n, x in enumerate(arrays)}


def _check(text: str, terms: list[Term], result: str) -> None:
    named = _shown([term.array for term in terms])
    extents: dict[str, int] = {}
    for letters, x in terms:
        for letter, n in zip(letters, x.shape):
            seen = extents.setdefault(letter, n)
            if n != seen and 1 not in (n, seen):
                axis = f"axis {letter}" if letter in text else "an axis of ..."
                raise op_error("einsum", f"{axis} of {text!r} has extents {seen} and {n}", named)
            extents[letter] = n if seen == 1 else seen
    if len(set(result)) != len(result) or not set(result) <= extents.keys():
        raise op_error("einsum", f"the result of {text!r} names an axis twice or one that is not there", named)


def _without_repeats(term: Term) -> Term:
    """A letter that stands twice means the diagonal of its two axes."""
    letters, x = term
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise op_error("einsum", f"the axes {letter} of one operand have extents {x.shape[first]} and {x.shape[second]}",
                               {"x": x})
            x = diagonal(x, 0, first, second)
            letters = "".join(c for d, c in enumerate(letters) if d not in (first, second)) + letter
    return Term(letters, x)


def _without_ones(terms: list[Term]) -> list[Term]:
    """Axes of extent 1 broadcast against longer ones of their letter: such an axis is dropped."""
    longest = {c: n for letters, x in terms for c, n in zip(letters, x.shape) if n != 1}
    return [_squeezed(term, [d for d, c in enumerate(term.letters) if term.array.shape[d] == 1 and c in longest]) for term in terms]


def _squeezed(term: Term, axes: list[int]) -> Term:
    if not axes:
        return term
    kept = [d for d in range(len(term.letters)) if d not in axes]
    shape = tuple(term.array.shape[d] for d in kept)
    return Term("".join(term.letters[d] for d in kept), bind("reshape", term.array, shape=shape))


def _path(terms: list[Term], result: str, optimize: Any) -> Path:
    """Which operands are contracted, step by step; they leave the list, and what they make goes to its end."""
    count = len(terms)
    if isinstance(optimize, list | tuple):
        return _checked_path(optimize, count)
    if not isinstance(optimize, bool | str) or optimize not in (True, False, "auto", "optimal", "greedy"):
        raise op_error("einsum", f"optimize={optimize!r} must be 'auto', 'optimal', 'greedy', a bool or a path",
                       _shown([term.array for term in terms]), kind=ArgumentError)
    if count <= 2 or optimize is False:
        return [tuple(range(count))] if count > 1 else []
    search = optimize if optimize in ("optimal", "greedy") else "optimal" if count <= _MOST_FOR_OPTIMAL else "greedy"
    shapes = [np.broadcast_to(np.zeros((), np.int8), term.array.shape) for term in terms]  # of no size in memory
    text = ",".join(term.letters for term in terms) + "->" + result
    return list(np.einsum_path(text, *shapes, optimize=search)[0][1:])


def _checked_path(path: Sequence[Any], count: int) -> Path:
    """A path that the caller gives, NumPy's ``["einsum_path", (0, 1), ...]`` included; what it leaves is contracted last."""
    steps: Path = []
    left = count
    for step in path[1:] if path and isinstance(path[0], str) else path:
        places = items_of(step)
        if not places or len(set(places)) != len(places) or not all(type(n) is int and 0 <= n < left for n in places):
            raise op_error("einsum", f"optimize: {step!r} must be places of the {left} operands that are left", {},
                           kind=ArgumentError)
        steps.append(places)
        left -= len(places) - 1
    return [*steps, tuple(range(left))] if left > 1 else steps


def _contracted(terms: list[Term], places: tuple[int, ...], result: str) -> list[Term]:
    """``terms`` with those at ``places`` contracted to one, which is the last; from left to right if they are more than two."""
    chosen = [terms[n] for n in sorted(places)]
    rest = [term for n, term in enumerate(terms) if n not in places]
    made = chosen[0]
    for n, term in enumerate(chosen[1:], 2):
        keep = set(result).union(*(other.letters for other in (*chosen[n:], *rest)))
        made = _contract(made, term, keep)
    return [*rest, made]


def _contract(a: Term, b: Term, keep: set[str]) -> Term:
    """Two operands as one: letters of one alone that nobody keeps are summed first."""
    s, x = _summed(a, keep.union(b.letters))
    t, y = _summed(b, keep.union(a.letters))
    shared = [c for c in s if c in t]
    batch, folded = [c for c in shared if c in keep], [c for c in shared if c not in keep]
    out = product("einsum", x, y, (tuple(map(s.index, folded)), tuple(map(t.index, folded))),
                  (tuple(map(s.index, batch)), tuple(map(t.index, batch))))
    rest = [c for c in s if c not in shared] + [c for c in t if c not in shared]
    return Term("".join(batch + rest), out)


def _summed(term: Term, keep: set[str]) -> Term:
    axes = tuple(d for d, c in enumerate(term.letters) if c not in keep)
    if not axes:
        return term
    return Term("".join(c for c in term.letters if c in keep), _sum(term.array, axes, dtype=term.array.dtype))


def _arranged(term: Term, result: str) -> Any:
    """The sum over what the result lacks, its axes in the result's order."""
    letters, x = _summed(term, set(result))
    return bind("transpose", x, perm=tuple(letters.index(c) for c in result))
