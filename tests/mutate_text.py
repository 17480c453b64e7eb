"""Texts of the IR changed at random: each is rejected with an IRError that names a line, or means what its own text says.

    python -m tests.mutate_text --count 40000 --seed 1 [--run 0.05]

The texts are those of traced and optimized graphs, of programs after every pass, and of the kernels of all ops. ``--run``: the
share of what is accepted, and changed, that also runs as machine code, in a process of its own, between guard pages, and is
compared with the interpreter.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from leptonc import ir
from leptonc.errors import IRError, LeptonError
from leptonc.ir.kernel import REDUCTIONS, Kernel, Program
from leptonc.ir.op import all_ops
from leptonc.ir.scalar import SCALARS
from leptonc.ir.types import type_of_array
from tests.text_programs import programs
from tests.text_runner import Runner, as_program, is_small

TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[A-Za-z_][A-Za-z0-9_.]*|%?\d+(?:\.\d+)?|->|\+=|\s+|.', re.DOTALL | re.ASCII)
NUMBERS = ("0", "1", "-1", "2", "3", "7", "64", "255", "256", "2147483648", "4611686018427387904", "9223372036854775807",
           "9999999999999999999", "99999999999999999999", "-9223372036854775808", "inf", "-inf", "nan", "1.5", "-0.0",
           "1e999", "1e-400", "true", "false", "\u0663", "0x10")
WORDS = ("f32", "f64", "i32", "i64", "u8", "u32", "bool", "i8", "u16", "u64",
         "pad", "masked", "reduce", "init", "in", "out", "inout", "local",
         "frozen", "donated", "at", "outer", "locals", "sum", "argmax", "add", "mul", "select", "cast", "exp", "and", "load",
         "const", "index", "store", "stage", "regions", "none", "temp", "input", "output", "constant")
CHARACTERS = "%@\"()[]{}<>,:=+-*/0123456789 \n\\\x00\t\u00b2\ud800é"


@cache
def corpus() -> tuple[str, ...]:
    """The texts that are changed, each once."""
    texts = dict.fromkeys(text for found in programs() for text in found)
    for op in all_ops().values():
        for sample in list(op.samples())[:4] if op.lowers else ():
            arrays = [np.asarray(x) for x in sample.make(np.random.default_rng(0))]
            try:
                texts[str(op.lower(*map(type_of_array, arrays), **sample.attrs))] = None
            except LeptonError:
                pass  # a sample for other dtypes
    return tuple(texts)


def changed(text: str, rng: np.random.Generator) -> str:
    """One to three changes."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        kind = rng.choice(4, p=(0.1, 0.1, 0.35, 0.45))
        text = (_by_character, _by_line, _by_token, _plausibly)[kind](text, rng)
    return text


def _plausibly(text: str, rng: np.random.Generator) -> str:
    """A number, a value, an axis or an op by another one that may well stand there."""
    tokens = TOKEN.findall(text)
    kinds = (r"\d+\Z", r"%\d+\Z", r"[a-z]+\d+\Z", "|".join(SCALARS) + r"\Z", "|".join(REDUCTIONS) + r"\Z", r"=\Z|\+=\Z",
             r"masked\Z|pad\Z")
    kind = kinds[int(rng.choice(len(kinds), p=(0.35, 0.2, 0.2, 0.1, 0.05, 0.05, 0.05)))]
    places = [n for n, token in enumerate(tokens) if re.match(kind, token)]
    if not places:
        return text
    at = places[int(rng.integers(len(places)))]
    match kinds.index(kind):
        case 0:
            tokens[at] = str(max(int(tokens[at]) + int(rng.integers(-2, 3)), 0))
        case 1 | 2:
            tokens[at] = tokens[places[int(rng.integers(len(places)))]]
        case 3:
            tokens[at] = str(rng.choice(list(SCALARS)))
        case 4:
            tokens[at] = str(rng.choice(REDUCTIONS))
        case 5:
            tokens[at] = "=" if tokens[at] == "+=" else "+="
        case _:
            tokens[at] = ""
    return "".join(tokens)


def _by_character(text: str, rng: np.random.Generator) -> str:
    at, other = int(rng.integers(len(text) + 1)), CHARACTERS[int(rng.integers(len(CHARACTERS)))]
    match int(rng.integers(4)):
        case 0:
            return text[:at] + text[at + 1:]
        case 1:
            return text[:at] + other + text[at:]
        case 2:
            return text[:at] + other + text[at + 1:]
    return text[:at] if rng.random() < 0.3 else text + text[at:at + 40]


def _by_line(text: str, rng: np.random.Generator) -> str:
    lines = text.split("\n")
    a, b = (int(n) for n in rng.integers(len(lines), size=2))
    match int(rng.integers(4)):
        case 0:
            del lines[a]
        case 1:
            lines.insert(b, lines[a])
        case 2:
            lines[a], lines[b] = lines[b], lines[a]
        case _:
            lines[a] = lines[b]
    return "\n".join(lines)


def _by_token(text: str, rng: np.random.Generator) -> str:
    tokens = [t for t in TOKEN.findall(text)]
    places = [n for n, t in enumerate(tokens) if not t.isspace()]
    if not places:
        return text
    at = places[int(rng.integers(len(places)))]
    match int(rng.integers(10)):
        case 0:
            del tokens[at]
        case 1:
            tokens.insert(at, tokens[at] + " ")
        case 2:
            other = places[int(rng.integers(len(places)))]
            tokens[at], tokens[other] = tokens[other], tokens[at]
        case _:
            tokens[at] = _other(tokens[at], tokens, rng)
    return "".join(tokens)


def _other(token: str, tokens: list[str], rng: np.random.Generator) -> str:
    """Something of the same kind: one that stands elsewhere in the text, or one that is strange."""
    def alike(other: str) -> bool:
        return other[:1].isdigit() == token[:1].isdigit() and other[:1].isalpha() == token[:1].isalpha() and other[:1] != " "

    if re.match(r"\d", token, re.ASCII):
        if rng.random() < 0.5:
            return str(int(float(token)) + int(rng.integers(-2, 3)))
        return NUMBERS[int(rng.integers(len(NUMBERS)))]
    if token[:1].isalpha() and rng.random() < 0.5:
        return WORDS[int(rng.integers(len(WORDS)))]
    found = [t for t in tokens if alike(t) and not t.isspace()]
    return found[int(rng.integers(len(found)))]


@dataclass
class Outcome:
    """Counts, and the faults found with the texts that show them."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)

    def check(self, text: str, before: str) -> ir.Graph | Kernel | Program | None:
        """What the text is, if it is something and differs from what it was made of."""
        try:
            found = ir.parse(text)
        except IRError as error:
            self.counts["rejected"] += 1
            if not re.match(r"line \d+: ", str(error)):
                self.faults.append((f"no line: {error}", text))
            return None
        except Exception:
            self.faults.append((traceback.format_exc(), text))
            return None
        self.counts["accepted"] += 1
        return self._round_trip(found, text, before)

    def _round_trip(self, found: ir.Graph | Kernel | Program, text: str, before: str) -> ir.Graph | Kernel | Program | None:
        own = str(found)
        try:
            again = ir.parse(own)
        except Exception:
            self.faults.append((f"accepted, but not its own text: {traceback.format_exc()}", text))
            return None
        if again != found or str(again) != own:
            self.faults.append(("its own text means something else", text))
        if own == before:
            return None
        self.counts["accepted and changed"] += 1
        return found


def mutants(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Texts with what they were made of."""
    rng, texts = np.random.default_rng(seed), corpus()
    sizes = np.array([1 / (200 + len(text)) for text in texts])
    for n in rng.choice(len(texts), size=count, p=sizes / sizes.sum()):
        yield changed(texts[n], rng), texts[n]


def campaign(count: int, seed: int, share: float = 0.0) -> Outcome:
    """``count`` changed texts; ``share`` of those that are accepted are run."""
    outcome, rng = Outcome(), np.random.default_rng(seed + 1)
    with Runner() as runner:
        for text, before in mutants(count, seed):
            found = outcome.check(text, before)
            if found is not None and share and rng.random() < share:
                program = found if isinstance(found, ir.Graph) else as_program(found)
                if program is not None and is_small(program):
                    _run(runner, outcome, str(program))
    return outcome


def _run(runner: Runner, outcome: Outcome, text: str) -> None:
    verdict = runner.run(text)
    outcome.counts[f"run: {verdict.split(':')[0]}"] += 1
    if verdict.split(":")[0] not in ("same", "refused"):
        outcome.faults.append((verdict, text))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--run", type=float, default=0.05, help="share of accepted programs that run as machine code")
    options = parser.parse_args()
    outcome = campaign(options.count, options.seed, options.run)
    print(f"seed {options.seed}: {len(corpus())} texts, {options.count} changes")
    for name, count in sorted(outcome.counts.items()):
        print(f"{count:8} {name}")
    for reason, text in outcome.faults[:10]:
        print("-" * 40, reason, text, sep="\n")
    print(f"{len(outcome.faults)} faults")
    return bool(outcome.faults)


if __name__ == "__main__":
    sys.exit(main())
