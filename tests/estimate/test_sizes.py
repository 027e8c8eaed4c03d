"""The sizes of models against transformers' own models, and their FLOPs against torch's own counter."""

from __future__ import annotations

import pytest

from xstilts.catalogue import sizes
from xstilts.catalogue.models import MODELS
from xstilts.catalogue.sizes import Size
from xstilts.estimate import flops
from xstilts.stage import Family


def config_of(size: Size):
    import transformers

    common = {"attn_implementation": "eager"}
    if size.gated:
        return transformers.MT5Config(
            vocab_size=size.vocabulary,
            d_model=size.hidden,
            d_kv=size.attention // size.heads,
            d_ff=size.feed_forward,
            num_layers=size.layers,
            num_heads=size.heads,
            relative_attention_num_buckets=size.other_rows,
            **common,
        )
    bert = {
        "vocab_size": size.vocabulary,
        "hidden_size": size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "intermediate_size": size.feed_forward,
        **common,
    }
    if size.relative:
        return transformers.DebertaV2Config(
            **bert,
            type_vocab_size=0,
            relative_attention=True,
            position_buckets=size.relative // 2,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
        )
    return transformers.BertConfig(
        **bert, max_position_embeddings=size.other_rows - 2, type_vocab_size=2
    )  # as many rows as XLM-R's 514 positions and one segment


def encoder_of(size: Size, config, device: str = "meta"):
    import torch
    import transformers

    with torch.device(device):
        if size.gated:
            return transformers.MT5EncoderModel(config)
        if size.relative:
            return transformers.DebertaV2Model(config)
        return transformers.BertModel(config, add_pooling_layer=False)


def counted(run) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


KNOWN = {name: value for name, value in vars(sizes).items() if isinstance(value, Size)}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_an_encoder_has_the_parameters_that_transformers_gives_it(name):
    size = KNOWN[name]
    model = encoder_of(size, config_of(size))
    assert sum(one.numel() for one in model.parameters()) == size.encoder_parameters


@pytest.mark.parametrize("name", ["MT5_SMALL", "MT5_LARGE"])
def test_a_whole_mt5_has_the_parameters_that_transformers_gives_it(name):
    import torch
    from transformers import MT5ForConditionalGeneration

    size = KNOWN[name]
    with torch.device("meta"):
        model = MT5ForConditionalGeneration(config_of(size))
    parts = [*model.encoder.parameters(), *model.decoder.parameters(), *model.lm_head.parameters()]
    distinct = {id(one): one.numel() for one in parts}
    head = size.vocabulary * size.hidden  # transformers ties it to the table, mT5's checkpoints do not
    tied = model.lm_head.weight is model.shared.weight
    assert sum(distinct.values()) + head * tied == size.parameters


@pytest.mark.parametrize(
    ("hub_id", "millions"),
    [  # as their papers and cards round them
        ("FacebookAI/xlm-roberta-base", 278),
        ("FacebookAI/xlm-roberta-large", 559),
        ("google-bert/bert-base-multilingual-cased", 178),
        ("microsoft/mdeberta-v3-base", 278),
        ("google/mt5-small", 300),
        ("google/mt5-base", 582),
        ("google/mt5-large", 1230),
        ("google/mt5-xl", 3743),
        ("google/mt5-xxl", 12921),
        ("intfloat/multilingual-e5-small", 118),
        ("sentence-transformers/all-MiniLM-L6-v2", 22.7),
    ],
)
def test_the_catalogues_models_are_as_large_as_is_published(hub_id, millions):
    assert MODELS[hub_id].size.parameters / 1e6 == pytest.approx(millions, rel=0.01)


def test_every_model_of_the_catalogue_has_a_size():
    assert all(model.size for model in MODELS.values())
    assert {model.family for model in MODELS.values()} == set(Family)


@pytest.mark.parametrize("name", ["XLMR_LARGE", "MT5_LARGE", "MDEBERTA_BASE"])
def test_a_size_is_read_from_a_config(name):
    size = KNOWN[name]
    read = Size.of_config(config_of(size).to_dict())
    assert read == size


@pytest.mark.parametrize("config", [{}, {"model_type": "llama"}, {"model_type": "bert"}, {"model_type": 3}])
def test_a_config_that_tells_no_size_has_none(config):
    assert Size.of_config(config) is None


@pytest.mark.parametrize("value", ["2", 0, -2, 1.5, float("inf"), float("nan"), 10**12, True, None, [1]])
@pytest.mark.parametrize("name", ["XLMR_LARGE", "MT5_LARGE", "MDEBERTA_BASE"])
def test_a_config_with_a_number_that_is_none_has_no_size(name, value):
    config = config_of(KNOWN[name]).to_dict()
    for field in ("vocab_size", "num_layers" if name == "MT5_LARGE" else "num_hidden_layers"):
        assert Size.of_config({**config, field: value}) is None


def test_xlmr_large_takes_what_a_hand_count_says():
    """24 layers of 4 x 1024^2 attention and 2 x 1024 x 4096 feed-forward weights, 2 FLOPs each, and attention itself."""
    tokens = 128
    weights = 24 * (4 * 1024**2 + 2 * 1024 * 4096)
    assert weights == 301_989_888
    by_hand = tokens * (2 * weights + 24 * 4 * tokens * 1024)
    assert flops.encode(sizes.XLMR_LARGE, tokens) == pytest.approx(by_hand, rel=1e-9)
    assert (1 + flops.BACKWARD) * by_hand == pytest.approx(6 * weights * tokens + 12 * 24 * 1024 * tokens**2)


SMALL = {  # counted by running them
    "bert": sizes.bert(3, 96, 200, heads=4, other_rows=130),
    "mt5": sizes.mt5(3, 96, 160, heads=2),
    "deberta": sizes.deberta(3, 768, 200, heads=12),
}


@pytest.mark.parametrize(("name", "close"), [("bert", 0.001), ("mt5", 0.001), ("deberta", 0.1)])
def test_an_encoders_flops_are_those_that_torch_counts(name, close):
    """Of DeBERTa what positions add to a batch is left out: the less, the larger the batch."""
    import torch

    size, batch, tokens = SMALL[name], 16, 96
    model = encoder_of(size, config_of(size), device="cpu").eval()
    ids = torch.ones(batch, tokens, dtype=torch.long)
    forward = counted(lambda: model(input_ids=ids, attention_mask=torch.ones_like(ids)))
    assert batch * flops.encode(size, tokens) == pytest.approx(forward, rel=close)


def test_training_takes_three_times_the_flops_of_a_forward_pass():
    import torch

    size, tokens = SMALL["bert"], 64
    model = encoder_of(size, config_of(size), device="cpu")
    ids = torch.ones(4, tokens, dtype=torch.long)

    def train():
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.sum().backward()

    both = counted(train)
    assert 4 * (1 + flops.BACKWARD) * flops.encode(size, tokens) == pytest.approx(both, rel=0.001)


def test_a_decoders_flops_are_those_that_torch_counts():
    import torch
    from transformers import MT5ForConditionalGeneration

    size, batch, source, target = SMALL["mt5"], 4, 80, 12
    model = MT5ForConditionalGeneration(config_of(size)).eval()
    ids = torch.ones(batch, source, dtype=torch.long)
    answers = torch.ones(batch, target, dtype=torch.long)
    with torch.inference_mode():
        forward = counted(
            lambda: model(input_ids=ids, attention_mask=torch.ones_like(ids), decoder_input_ids=answers)
        )
    said = batch * (flops.encode(size, source) + flops.decode(size, source, target))
    assert said == pytest.approx(forward, rel=0.001)
