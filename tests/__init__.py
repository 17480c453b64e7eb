"""Tests of leptonc."""

import os
import sys

# Some fifty tests start Python anew. Where containers set this variable, each would compile all of leptonc from its text, which is
# more than half of a start; and each worker the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
