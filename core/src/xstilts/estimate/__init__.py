"""What an experiment will take before it is begun: hours, GPU-hours, money, disk and memory, each with its range."""

from xstilts.estimate.cost import Estimate, Found, Took, estimate
from xstilts.estimate.facts import Facts, Rows
from xstilts.estimate.hardware import ACCELERATORS, CPU, DEFAULT, Accelerator, accelerator
from xstilts.estimate.prices import Price, parse_price, read_price
from xstilts.estimate.ranges import Range

__all__ = [
    "ACCELERATORS",
    "CPU",
    "DEFAULT",
    "Accelerator",
    "Estimate",
    "Facts",
    "Found",
    "Price",
    "Range",
    "Rows",
    "Took",
    "accelerator",
    "estimate",
    "parse_price",
    "read_price",
]
