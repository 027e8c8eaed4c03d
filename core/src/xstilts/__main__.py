"""`python -m xstilts`: the same program as `xstilts`."""

from xstilts.cli import main

main()
