from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file

from xstilts.errors import DataError
from xstilts.stage import Family, Pooling
from xstilts_trainer.models.backbone import load_backbone, save_backbone
from xstilts_trainer.models.folders import encoder_folder

from .conftest import FAMILIES, random_batch

SUFFIXES = [
    ("xlm-roberta", "Model"),
    ("xlm-roberta", "ForMaskedLM"),
    ("bert", "Model"),
    ("bert", "ForMaskedLM"),
    ("bert", "ForSequenceClassification"),
    ("deberta-v2", "Model"),
    ("deberta-v2", "ForMaskedLM"),
    ("mt5", "EncoderModel"),
    ("mt5", "ForConditionalGeneration"),
]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(("model_type", "suffix"), SUFFIXES)
def test_encoder_of_any_head_loads_whole(saved, model_type, suffix):
    folder = saved(model_type, suffix)
    encoder = load_backbone(folder, FAMILIES[model_type]).encoder
    on_disk = load_file(folder / "model.safetensors")
    state = encoder.state_dict()
    prefix = f"{encoder.base_model_prefix}."
    taken = {name.removeprefix(prefix): tensor for name, tensor in on_disk.items()}
    assert "pooler.dense.weight" not in state
    for name, tensor in state.items():
        source = "shared.weight" if name == "encoder.embed_tokens.weight" else name
        assert torch.equal(tensor, taken[source]), name


@pytest.mark.parametrize("model_type", ["xlm-roberta", "bert", "deberta-v2", "mt5"])
def test_saving_twice_and_saving_what_was_loaded_give_the_same_bytes(saved, tmp_path, model_type):
    suffix = "EncoderModel" if model_type == "mt5" else "Model"
    first = load_backbone(saved(model_type, suffix), FAMILIES[model_type])
    save_backbone(first, tmp_path / "a")
    # a call with truncation leaves traces in a fast tokenizer
    first.tokenizer(["w1 w2 w3 w4 w5"], truncation=True, max_length=4, padding="max_length")
    save_backbone(first, tmp_path / "b")
    second = load_backbone(tmp_path / "a", FAMILIES[model_type])
    save_backbone(second, tmp_path / "c")
    assert set(files(tmp_path / "a")) >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert files(tmp_path / "a") == files(tmp_path / "b") == files(tmp_path / "c")
    inputs = random_batch(3, 9)
    hidden = [backbone.encoder(**inputs).last_hidden_state for backbone in (first, second)]
    assert torch.equal(*hidden)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_are_fp32_whatever_the_file_holds(saved, tmp_path, dtype):
    folder = saved("bert", "Model")
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    backbone = load_backbone(folder, Family.BERT)
    save_backbone(backbone, tmp_path / "out")
    assert {parameter.dtype for parameter in backbone.encoder.parameters()} == {torch.float32}
    assert {t.dtype for t in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.float32}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"


def test_names_of_the_first_bert_checkpoints_load(saved):
    folder = saved("bert", "Model")
    expected = load_backbone(folder, Family.MBERT).encoder.state_dict()
    tensors = {
        f"bert.{name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')}": t
        for name, t in load_file(folder / "model.safetensors").items()
    }
    tensors["bert.embeddings.position_ids"] = torch.arange(40).unsqueeze(0)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    state = load_backbone(folder, Family.MBERT).encoder.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_sharded_weights_load(saved):
    folder = saved("bert", "Model")
    expected = load_backbone(folder, Family.BERT).encoder.state_dict()
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(tensors)}
    for shard in set(shards.values()):
        part = {name: tensor for name, tensor in tensors.items() if shards[name] == shard}
        save_file(part, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 0}, "weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    state = load_backbone(folder, Family.BERT).encoder.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


class TestPooler:
    def test_only_transformers_pooling_keeps_it(self, saved):
        folder = saved("bert", "Model")
        pooled = load_backbone(folder, Family.BERT, pooling=Pooling.TRANSFORMERS).encoder
        assert torch.equal(
            pooled.pooler.dense.weight, load_file(folder / "model.safetensors")["pooler.dense.weight"]
        )
        for pooling in (Pooling.FIRST, Pooling.MEAN):
            assert load_backbone(folder, Family.BERT, pooling=pooling).encoder.pooler is None

    def test_where_the_checkpoint_has_none_it_begins_anew_by_the_seed(self, saved):
        folder = saved("xlm-roberta", "ForMaskedLM")

        def weight(seed: int) -> torch.Tensor:
            torch.manual_seed(seed + 1000)  # the global state must not matter
            backbone = load_backbone(folder, Family.XLMR, pooling=Pooling.TRANSFORMERS, seed=seed)
            return backbone.encoder.pooler.dense.weight.detach()

        assert torch.equal(weight(1), weight(1))
        assert not torch.equal(weight(1), weight(2))
        assert weight(1).std().item() == pytest.approx(0.3, rel=0.2)


class TestRefusals:
    def refused(self, folder: Path, *parts: str, family: Family = Family.BERT) -> None:
        with pytest.raises(DataError) as caught:
            load_backbone(folder, family)
        for part in parts:
            assert part in str(caught.value)

    def change_config(self, folder: Path, **changes: object) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def test_a_pickle_is_named_and_never_read(self, saved):
        folder = saved("bert", "Model")
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        self.refused(folder, "pytorch_model.bin", "convert it to safetensors")

    def test_no_weights(self, saved):
        folder = saved("bert", "Model")
        (folder / "model.safetensors").unlink()
        self.refused(folder, "must hold model.safetensors")

    def test_no_config(self, tmp_path):
        self.refused(tmp_path, "config.json", "must be there")

    @pytest.mark.parametrize("text", ["{", "[]"])
    def test_config_that_is_no_object(self, saved, text):
        folder = saved("bert", "Model")
        (folder / "config.json").write_text(text)
        self.refused(folder, "config.json", "must be")

    def test_config_of_wrong_types(self, saved):
        folder = saved("bert", "Model")
        self.change_config(folder, hidden_size="many")
        self.refused(folder, "config.json", "hidden_size")

    @pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
    def test_remote_code(self, saved, name):
        folder = saved("bert", "Model")
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoModel": "evil.Model"}}))
        self.refused(folder, name, "never run")

    @pytest.mark.parametrize("setting", ["vocab", "merges", "gguf_file", "fast_tokenizer_files"])
    def test_a_tokenizer_of_another_folder(self, saved, tmp_path, setting):
        folder = saved("bert", "Model")
        other = shutil.copyfile(folder / "tokenizer.json", tmp_path / "tokenizer.1.0.json")
        path = folder / "tokenizer_config.json"
        named = [str(other)] if setting == "fast_tokenizer_files" else str(other)
        path.write_text(json.dumps({**json.loads(path.read_text()), setting: named}))
        self.refused(folder, f"must not hold {setting}: its folder's own files alone are read")

    def test_another_familys_model(self, saved):
        self.refused(
            saved("bert", "Model"), "must be xlm-roberta for the family XLMR, was 'bert'", family=Family.XLMR
        )

    def test_missing_layers(self, saved):
        folder = saved("bert", "Model")
        self.change_config(folder, num_hidden_layers=3)
        self.refused(folder, "lacks 16", "encoder.layer.2.")

    def test_more_layers_than_the_config_says(self, saved):
        folder = saved("bert", "ForMaskedLM")
        self.change_config(folder, num_hidden_layers=1)
        self.refused(folder, "also has 16", "encoder.layer.1.")

    def test_other_shapes(self, saved):
        folder = saved("bert", "Model")
        self.change_config(folder, vocab_size=65)
        self.refused(folder, "differs in 1: embeddings.word_embeddings.weight")

    def test_a_truncated_file(self, saved):
        folder = saved("bert", "Model")
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        self.refused(folder, "whole safetensors")

    def test_no_tokenizer(self, saved):
        folder = saved("bert", "Model")
        for path in folder.glob("tokenizer*"):
            path.unlink()
        self.refused(folder, "must hold a tokenizer: tokenizer.json or")

    def test_a_tokenizer_larger_than_the_embeddings(self, saved):
        folder = saved("bert", "Model")
        path = folder / "tokenizer.json"
        settings = json.loads(path.read_text())
        settings["model"]["vocab"] |= {f"more{number}": 45 + number for number in range(20)}
        path.write_text(json.dumps(settings))
        self.refused(folder, "at most 64 pieces", "had 65")


def test_a_trained_folder_keeps_its_encoder_inside(tmp_path):
    assert encoder_folder(tmp_path) == tmp_path
    (tmp_path / "encoder").mkdir()
    assert encoder_folder(tmp_path) == tmp_path / "encoder"


@pytest.mark.parametrize(
    ("model_type", "suffix", "file", "settings"),
    [
        (
            "mt5",
            "ForConditionalGeneration",
            "spiece.model",
            {"tokenizer_class": "T5Tokenizer", "extra_ids": 0},
        ),
        ("deberta-v2", "ForMaskedLM", "spm.model", {"do_lower_case": False, "vocab_type": "spm"}),
    ],
)
def test_a_sentencepiece_model_alone_is_a_tokenizer(saved, tmp_path, model_type, suffix, file, settings):
    """So mT5 and mDeBERTa lie on the hub, without tokenizer.json."""
    folder = saved(model_type, suffix)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    train_sentencepiece(folder / file, t5=model_type == "mt5")
    backbone = load_backbone(folder, FAMILIES[model_type])
    encoded = backbone.tokenizer("w1 w2", "w3")["input_ids"]
    assert backbone.tokenizer.decode(encoded, skip_special_tokens=True) == "w1 w2 w3"
    save_backbone(backbone, tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    again = load_backbone(tmp_path / "out", FAMILIES[model_type])
    assert again.tokenizer("w1 w2", "w3")["input_ids"] == encoded


def train_sentencepiece(path: Path, *, t5: bool) -> None:
    """A sentencepiece model over the tests' words, with T5's or BERT's special pieces."""
    lines = (" ".join(f"w{(line * 7 + word) % 40}" for word in range(8)) for line in range(50))
    special = (
        {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
        if t5
        else {
            "pad_id": 0,
            "bos_id": 1,
            "eos_id": 2,
            "unk_id": 3,
            "pad_piece": "[PAD]",
            "bos_piece": "[CLS]",
            "eos_piece": "[SEP]",
            "unk_piece": "[UNK]",
        }
    )
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines, model_writer=file, vocab_size=44, minloglevel=2, **special
        )
