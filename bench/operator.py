"""How fast the operator is, beside its peers on the same control plane: etcd, API server, Job controller, scheduler, kwok.

    .venv/bin/python bench/operator.py --json       # all figures at full size: about half an hour on two cores
    .venv/bin/python bench/operator.py --figures plain,drain --experiments 200

What is measured stands in `operator_bench/`; what came out in docs/benchmarks/operator.md.
"""

import sys

_HERE = __file__.rpartition("/")[0]
_ROOT = _HERE.rpartition("/")[0]
# Python has put this folder first, where this file would be taken for the standard library's `operator`.
sys.path[:] = [folder for folder in sys.path if folder != _HERE] + [f"{_ROOT}/tests", _ROOT]

from bench.operator_bench.command import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
