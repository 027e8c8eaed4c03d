"""How fast neighbours and parallel pairs are found: beside the machine's matrix product, float64, faiss and mine_bitext.

    .venv/bin/python bench/retrieval.py --json        # all figures: about ten minutes on two cores
    .venv/bin/python bench/retrieval.py --figures small,mining --mine-bitext xtreme/third_party/utils_retrieve.py

What is measured stands in `retrieval_bench/`; what came out in docs/benchmarks/retrieval.md.
"""

import sys

_HERE = __file__.rpartition("/")[0]
# Python has put this folder first, where operator.py would be taken for the standard library's.
sys.path[:] = [folder for folder in sys.path if folder != _HERE] + [_HERE.rpartition("/")[0]]

from bench.retrieval_bench.command import main

if __name__ == "__main__":
    main()
