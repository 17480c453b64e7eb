"""keras.ops.numpy: NumPy's functions with Keras's dtypes, from a module for each kind."""

from leptonc.keras.src.ops.creation import *  # noqa: F403
from leptonc.keras.src.ops.elementwise import *  # noqa: F403
from leptonc.keras.src.ops.products import *  # noqa: F403
from leptonc.keras.src.ops.reductions import *  # noqa: F403
from leptonc.keras.src.ops.selection import *  # noqa: F403
from leptonc.keras.src.ops.shapes import *  # noqa: F403
