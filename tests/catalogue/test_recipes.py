"""Recipes a model family: the numbers of their sources."""

from __future__ import annotations

import pytest

from xstilts.catalogue import CATALOGUE, INTERMEDIATES
from xstilts.catalogue.models import FAMILY_RETRIEVAL, FORMS, MODELS, POOLINGS
from xstilts.catalogue.recipes import recipe
from xstilts.decimals import canonical_decimal
from xstilts.stage import Family, Form, Pooling


def of(family, phase, *names, **options):
    return recipe(family, phase, [CATALOGUE[name].task for name in names], **options)


def brief(hyperparameters):
    return (
        hyperparameters.learning_rate,
        hyperparameters.epochs,
        hyperparameters.batch_size,
        hyperparameters.max_length,
    )


@pytest.mark.parametrize(
    ("family", "phase", "names", "expected"),
    [
        (Family.XLMR, "intermediate", ["squad"], ("1e-5", 3, 32, 256)),
        (Family.XLMR, "target", ["mnli"], ("1e-5", 2, 32, 256)),
        (Family.XLMR, "target", ["pawsx"], ("1e-5", 5, 32, 256)),
        (Family.MBERT, "target", ["udpos"], ("1e-5", 10, 32, 256)),
        (Family.MDEBERTA, "target", ["squad"], ("1e-5", 2, 16, 384)),
        (Family.BERT, "target", ["tydiqa"], ("1e-5", 2, 16, 384)),
        (Family.E5, "target", ["mnli"], ("5e-5", 2, 32, 128)),
        (Family.E5, "target", ["udpos"], ("1e-4", 3, 32, 128)),
        (Family.E5, "intermediate", ["squad"], ("5e-5", 2, 32, 384)),
        (Family.E5, "intermediate", ["squad", "ccg", "mnli"], ("5e-5", 2, 32, 384)),
        (Family.E5, "intermediate", ["ccg"], ("1e-4", 3, 32, 128)),
        (Family.MT5, "target", ["mnli"], ("0.001", 3, 128, 256)),
    ],
)
def test_recipes_of_the_sources(family, phase, names, expected):
    assert brief(of(family, phase, *names)) == expected


def test_mt5_is_tuned_at_a_constant_rate_with_adafactor():
    one = of(Family.MT5, "target", "mnli")
    assert (one.optimizer, one.schedule, one.dropout) == ("Adafactor", "Constant", "0.1")


def test_continued_mlm_halves_the_papers_learning_rate():
    assert of(Family.XLMR, "intermediate", "mnli", continued_mlm=True).learning_rate == "5e-6"
    assert of(Family.E5, "intermediate", "mnli", continued_mlm=True).learning_rate == "5e-5"


@pytest.mark.parametrize("family", Family)
def test_decimals_are_canonical_and_the_order_of_a_mix_decides_nothing(family):
    forward = of(family, "intermediate", *INTERMEDIATES)
    assert forward == of(family, "intermediate", *reversed(INTERMEDIATES))
    for name in ("learning_rate", "warmup_ratio", "weight_decay", "adam_epsilon", "max_grad_norm"):
        assert canonical_decimal(getattr(forward, name)) == getattr(forward, name)


def test_known_models():
    large = MODELS["FacebookAI/xlm-roberta-large"]
    assert (large.family, large.layer, large.prefix) == (Family.XLMR, 14, "")
    small = MODELS["intfloat/multilingual-e5-small"]
    assert (small.family, small.layer, small.prefix) == (Family.E5, -1, "query: ")
    assert all(model.layer is not None for model in MODELS.values())


@pytest.mark.parametrize("family", Family)
def test_every_family_has_its_defaults(family):
    assert FAMILY_RETRIEVAL[family].family is family
    assert (FORMS[family] is Form.TEXT_TO_TEXT) == (family is Family.MT5)
    assert (POOLINGS[family] is Pooling.MEAN) == (family in {Family.E5, Family.MT5})
