"""The programs that are timed, beside the cases that are lists of layers."""

from __future__ import annotations

from leptonc.bench.networks.dcgan import DCGAN
from leptonc.bench.networks.mobilenet import MobileNetBlocks
from leptonc.bench.networks.program import Program
from leptonc.bench.networks.recurrent import Recurrent
from leptonc.bench.networks.residual import ResNet20
from leptonc.bench.networks.transformer import Generation, TransformerTraining
from leptonc.bench.networks.unet import UNetSmall

_ALL: tuple[Program, ...] = (
    ResNet20(),
    MobileNetBlocks(),
    Recurrent("lstm256", 32),
    Recurrent("lstm128-b1", 1, hidden=128, steps=16),
    Recurrent("lstm128-b32", 32, hidden=128, steps=16),
    Recurrent("gru256", 32, kind="gru"),
    DCGAN(),
    TransformerTraining(),
    Generation(),
    UNetSmall(),
)

PROGRAMS = {program.name: program for program in _ALL}
TINY_PROGRAMS = {tiny.name: tiny for tiny in (program.tiny() for program in _ALL)}
"""For tests of the harness."""
