"""What is known of pretrained models by their hub id, and of model families in general.

`layer` is an index into hidden_states, where 0 is the embeddings and -1 the last layer. XLM-R Large's 14 and
mBERT's 8 are XTREME's (`--specific_layer` 13 and 7, counted without the embeddings) and jiant's; those of other
sizes are this project's choice at the same relative depth, unless a comment says more.
"""

from __future__ import annotations

from dataclasses import dataclass

from xstilts.catalogue import sizes
from xstilts.catalogue.sizes import Size
from xstilts.stage import Family, Form, Pooling


@dataclass(frozen=True)
class KnownModel:
    """How a pretrained model is used where the experiment says nothing else.

    `layer` and `prefix` are for retrieval: which hidden state is mean-pooled, and what stands before a sentence.
    `size` is what estimates of time and memory are made of, and no part of any key; None where it is not known.
    """

    family: Family
    layer: int | None
    prefix: str = ""
    size: Size | None = None


FORMS: dict[Family, Form] = {
    family: Form.TEXT_TO_TEXT if family is Family.MT5 else Form.ENCODER_HEAD for family in Family
}
POOLINGS: dict[Family, Pooling] = {
    family: Pooling.MEAN if family in {Family.E5, Family.MT5} else Pooling.FIRST for family in Family
}

_E5_PREFIX = "query: "  # the model card's, for tasks that are symmetric

# What holds for a model that the catalogue does not know, by its family. None: the experiment must say it.
FAMILY_RETRIEVAL: dict[Family, KnownModel] = {
    Family.XLMR: KnownModel(Family.XLMR, layer=None),
    Family.MBERT: KnownModel(Family.MBERT, layer=8),
    Family.MDEBERTA: KnownModel(Family.MDEBERTA, layer=None),
    Family.BERT: KnownModel(Family.BERT, layer=-1),
    Family.E5: KnownModel(Family.E5, layer=-1, prefix=_E5_PREFIX),
    Family.MT5: KnownModel(Family.MT5, layer=-1),
}

MODELS: dict[str, KnownModel] = {
    "FacebookAI/xlm-roberta-base": KnownModel(Family.XLMR, layer=7, size=sizes.XLMR_BASE),
    "FacebookAI/xlm-roberta-large": KnownModel(Family.XLMR, layer=14, size=sizes.XLMR_LARGE),
    "google-bert/bert-base-multilingual-cased": KnownModel(Family.MBERT, layer=8, size=sizes.MBERT),
    "google-bert/bert-base-uncased": KnownModel(Family.BERT, layer=-1, size=sizes.BERT_BASE),
    "microsoft/mdeberta-v3-base": KnownModel(Family.MDEBERTA, layer=7, size=sizes.MDEBERTA_BASE),
    "google/mt5-small": KnownModel(Family.MT5, layer=-1, size=sizes.MT5_SMALL),
    "google/mt5-base": KnownModel(Family.MT5, layer=-1, size=sizes.MT5_BASE),
    "google/mt5-large": KnownModel(Family.MT5, layer=-1, size=sizes.MT5_LARGE),
    "google/mt5-xl": KnownModel(Family.MT5, layer=-1, size=sizes.MT5_XL),
    "google/mt5-xxl": KnownModel(Family.MT5, layer=-1, size=sizes.MT5_XXL),
    "intfloat/multilingual-e5-small": KnownModel(Family.E5, layer=-1, prefix=_E5_PREFIX, size=sizes.E5_SMALL),
    "intfloat/multilingual-e5-base": KnownModel(Family.E5, layer=-1, prefix=_E5_PREFIX, size=sizes.XLMR_BASE),
    "intfloat/multilingual-e5-large": KnownModel(
        Family.E5, layer=-1, prefix=_E5_PREFIX, size=sizes.XLMR_LARGE
    ),
    "sentence-transformers/all-MiniLM-L6-v2": KnownModel(Family.BERT, layer=-1, size=sizes.MINILM_L6),
}
