"""Which linear layers of a family's encoder get low-rank adapters, unless an experiment names others.

The queries and values of every attention, which is what Hu et al. (2021), arXiv:2106.09685, section 7.1, found best for a
given number of parameters, and what peft takes for these architectures.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xstilts.stage import Family

_BERT = ("query", "value")

TARGET_MODULES: Mapping[Family, tuple[str, ...]] = MappingProxyType(
    {
        Family.XLMR: _BERT,
        Family.MBERT: _BERT,
        Family.MDEBERTA: ("query_proj", "value_proj"),
        Family.BERT: _BERT,
        Family.E5: _BERT,
        Family.MT5: ("q", "v"),
    }
)
