"""The work of a stage: tokens and sequences, against counts by hand and what the trainer draws."""

from __future__ import annotations

import json

import pytest

from xstilts.estimate import ACCELERATORS, Facts
from xstilts.estimate.cost import stage_work
from xstilts.estimate.facts import Sources
from xstilts.plan import plan
from xstilts.spec import parse_experiment

from .conftest import manifest


def work_of(group, **changes):
    said = parse_experiment(json.dumps(manifest(**changes)))
    planned = plan(said)
    sources = Sources(planned, Facts())
    return [stage_work(one, sources, ACCELERATORS["A100"]) for one in planned.stages if one.group == group]


def test_a_training_on_mnli_is_what_a_hand_count_says():
    """392,702 rows of 45 pieces, two epochs, and 9,815 dev rows after each; batches of 32."""
    changes = {"intermediates": [], "targets": [{"task": "xnli"}], "seeds": [1]}
    ((work,),) = [list(one.values()) for one in work_of("train target", **changes)]
    weights, pieces = 24 * 12 * 1024**2, 45
    forward = pieces * (2 * weights + 4 * 24 * 1024 * pieces)
    assert work.training == pytest.approx(2 * 392_702 * 3 * forward, rel=1e-6)
    assert work.inference == pytest.approx(2 * 9_815 * forward, rel=1e-6)
    assert work.steps == 2 * 12_272  # the last batch is smaller
    assert work.batches == 2 * 307


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_so_many_epochs_are_so_many_times_the_work_of_one(epochs):
    def works(number):
        return [
            one[""]
            for group in ("train intermediate", "train target")
            for one in work_of(group, training={"defaults": {"epochs": number}})
        ]

    for one, many in zip(works(1), works(epochs), strict=True):
        for field in ("training", "inference", "steps", "batches", "traffic"):
            assert getattr(many, field) == pytest.approx(epochs * getattr(one, field))


def test_at_most_max_examples_are_trained_on():
    few, all_ = (
        work_of("train target", training={"defaults": said})
        for said in ({"maxExamples": 1000}, {"epochs": 2})
    )
    assert few[0][""].training < 0.01 * all_[0][""].training
    assert few[0][""].inference == all_[0][""].inference


def test_choices_are_sequences_of_a_head_and_one_text_of_a_text_to_text_model():
    def hellaswag(**model):
        models = [{"name": "mt5", "pretrained": "google/mt5-base", **model}]
        (work,) = work_of(
            "train intermediate",
            models=models,
            intermediates=[{"name": "one", "tasks": ["hellaswag"]}],
            seeds=[1],
        )
        return work[""]

    head, text = hellaswag(form="EncoderHead"), hellaswag()
    assert head.training > 1.4 * text.training  # 4 x 54 pieces, against 111 with a decoder
    assert head.steps == text.steps


LORA = {"rank": 8}


@pytest.mark.parametrize("modules", [None, ["query", "value", "output.dense"]])
def test_adapters_are_as_many_parameters_as_peft_makes_of_them(modules):
    import peft
    import transformers

    from xstilts.catalogue.sizes import bert
    from xstilts.estimate.work import adapter_parameters
    from xstilts.stage import Lora

    names = tuple(sorted(modules or ("query", "value")))
    size = bert(3, 96, 200, heads=4, other_rows=130)
    config = transformers.BertConfig(
        vocab_size=200, hidden_size=96, num_hidden_layers=3, num_attention_heads=4, intermediate_size=384
    )
    model = transformers.BertModel(config, add_pooling_layer=False)
    said = peft.LoraConfig(
        r=8, target_modules=[name.replace("output.dense", "layer.2.output.dense") for name in names]
    )
    peft.LoraModel(model, said, "default")
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    ours = adapter_parameters(Lora(rank=8, alpha=16, dropout="0", target_modules=names), size, text=False)
    if modules:  # here in one layer of three, where an experiment's name means all
        ours -= 2 * 8 * (96 + 384)
    assert ours == trained


def test_adapters_take_two_thirds_of_the_time_and_little_of_the_memory(make):
    whole = make()
    lora = make(models=[{"name": "large", "pretrained": "FacebookAI/xlm-roberta-large", "lora": LORA}])
    pairs = list(zip(whole.groups["train target"], lora.groups["train target"], strict=True))
    assert pairs
    for all_weights, adapters in pairs:
        assert adapters.seconds.likely < all_weights.seconds.likely
        assert adapters.memory.states < 0.3 * all_weights.memory.states
        assert adapters.disk == all_weights.disk  # merged into a whole checkpoint
        assert adapters.working < 0.05 * all_weights.working
    (work, *_) = work_of("train target")
    models = [{"name": "large", "pretrained": "FacebookAI/xlm-roberta-large", "lora": LORA}]
    (less, *_) = work_of("train target", models=models)
    assert less[""].training == pytest.approx(work[""].training * 2 / 3)
    assert less[""].inference == work[""].inference


def test_sentences_that_are_probed_go_once_more_through_all_layers():
    def tatoeba(**target):
        models = [{"name": "large", "pretrained": "FacebookAI/xlm-roberta-large", "layer": 12}]
        targets = [{"task": "tatoeba", **target}]
        (work,) = work_of("evaluate", models=models, intermediates=[], targets=targets, seeds=[1])
        return work["tatoeba"]

    assert tatoeba(probeLayers=True).inference == pytest.approx(3 * tatoeba().inference)


def test_sentences_are_read_up_to_the_layer_that_is_pooled():
    def tatoeba(layer):
        models = [{"name": "large", "pretrained": "FacebookAI/xlm-roberta-large", "layer": layer}]
        (work,) = work_of(
            "evaluate", models=models, intermediates=[], targets=[{"task": "tatoeba"}], seeds=[1]
        )
        return work["tatoeba"].inference

    assert tatoeba(-1) == tatoeba(24)
    assert tatoeba(12) == pytest.approx(tatoeba(24) / 2)
    assert tatoeba(0) == 0
