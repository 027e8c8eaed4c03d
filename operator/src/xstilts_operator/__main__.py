"""`python -m xstilts_operator`."""

from __future__ import annotations

import sys

from xstilts_operator.main import main

if __name__ == "__main__":
    sys.exit(main())
