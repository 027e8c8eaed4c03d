"""What is known of pretrained models by their hub id, and of model families in general.

`layer` is an index into hidden_states, where 0 is the embeddings and -1 the last layer. XLM-R Large's 14 and
mBERT's 8 are XTREME's (`--specific_layer` 13 and 7, counted without the embeddings) and jiant's; those of other
sizes are this project's choice at the same relative depth, unless a comment says more.
"""

from __future__ import annotations

from dataclasses import dataclass

from xstilts.stage import Family, Form, Pooling


@dataclass(frozen=True)
class KnownModel:
    """How a pretrained model is used where the experiment says nothing else.

    `layer` and `prefix` are for retrieval: which hidden state is mean-pooled, and what stands before a sentence.
    """

    family: Family
    layer: int | None
    prefix: str = ""


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
    "FacebookAI/xlm-roberta-base": KnownModel(Family.XLMR, layer=7),
    "FacebookAI/xlm-roberta-large": KnownModel(Family.XLMR, layer=14),
    "google-bert/bert-base-multilingual-cased": KnownModel(Family.MBERT, layer=8),
    "google-bert/bert-base-uncased": KnownModel(Family.BERT, layer=-1),
    "microsoft/mdeberta-v3-base": KnownModel(Family.MDEBERTA, layer=7),
    "google/mt5-small": KnownModel(Family.MT5, layer=-1),
    "google/mt5-base": KnownModel(Family.MT5, layer=-1),
    "google/mt5-large": KnownModel(Family.MT5, layer=-1),
    "google/mt5-xl": KnownModel(Family.MT5, layer=-1),
    "google/mt5-xxl": KnownModel(Family.MT5, layer=-1),
    "intfloat/multilingual-e5-small": KnownModel(Family.E5, layer=-1, prefix=_E5_PREFIX),
    "intfloat/multilingual-e5-base": KnownModel(Family.E5, layer=-1, prefix=_E5_PREFIX),
    "intfloat/multilingual-e5-large": KnownModel(Family.E5, layer=-1, prefix=_E5_PREFIX),
    "sentence-transformers/all-MiniLM-L6-v2": KnownModel(Family.BERT, layer=-1),
}
