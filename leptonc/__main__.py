"""``python -m leptonc`` is the ``leptonc`` command."""

import sys

from leptonc.cli import main

if __name__ == "__main__":
    sys.exit(main())
