"""How fast the trainer is on a CPU, beside transformers' Trainer on the same model and data: useful tokens a second.

    make inputs
    .venv/bin/python bench/trainer.py --json        # five interleaved runs: about a quarter of an hour on two cores

What is measured stands in `trainer_bench/`; what came out in docs/benchmarks/trainer.md.
"""

import sys

_HERE = __file__.rpartition("/")[0]
# Python has put this folder first, where operator.py would be taken for the standard library's.
sys.path[:] = [folder for folder in sys.path if folder != _HERE] + [_HERE.rpartition("/")[0]]

from bench.trainer_bench.command import main

if __name__ == "__main__":
    main()
