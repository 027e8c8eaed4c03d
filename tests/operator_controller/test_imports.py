"""What the operator's process holds in memory before it knows of any object."""

from __future__ import annotations

import subprocess
import sys


def test_the_operator_loads_no_numerical_library():
    """scipy alone would be as much memory as ten thousand stages; statistics are the report's."""
    program = "import sys, xstilts_operator.main; print(*{'numpy', 'scipy'}.intersection(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
