"""What ending a training and going on with it take, and whether the weights are the undisturbed run's.

    make inputs
    .venv/bin/python bench/resume.py --json        # three interleaved runs: minutes on two cores

What is measured stands in `resume_bench/`; what came out in docs/benchmarks/resume.md.
"""

import sys

_HERE = __file__.rpartition("/")[0]
# Python has put this folder first, where operator.py would be taken for the standard library's.
sys.path[:] = [folder for folder in sys.path if folder != _HERE] + [_HERE.rpartition("/")[0]]

from bench.resume_bench.command import main

if __name__ == "__main__":
    main()
