from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.errors import DataError, SpecError
from xstilts.stage import Family, Pooling
from xstilts.task import TaskType
from xstilts_trainer.models.backbone import Backbone, load_backbone
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.heads import HeadSpec, make_head
from xstilts_trainer.models.masked_lm import load_masked_lm
from xstilts_trainer.models.pooling import masked_mean

from .conftest import FAMILIES, random_batch, tiny_config, tiny_model, tiny_tokenizer

LABELS = ("no", "yes", "perhaps")
HEADED = [TaskType.CLASSIFICATION, TaskType.MULTIPLE_CHOICE, TaskType.TAGGING, TaskType.SPAN_QA]


def head_spec(task: str, task_type: TaskType, pooling: Pooling = Pooling.MEAN) -> HeadSpec:
    return HeadSpec(task=task, type=task_type, labels=LABELS, pooling=pooling)


def model_of(model_type: str, seed: int = 0, pooling: Pooling = Pooling.MEAN) -> EncoderModel:
    suffix = "EncoderModel" if model_type == "mt5" else "Model"
    changes = {"add_pooling_layer": False} if model_type in {"bert", "xlm-roberta"} else {}
    torch.manual_seed(seed)
    encoder = type(tiny_model(model_type, suffix))(tiny_config(model_type), **changes).eval()
    backbone = Backbone(encoder=encoder, tokenizer=tiny_tokenizer(), family=FAMILIES[model_type])
    specs = [head_spec(kind.value.lower(), kind, pooling) for kind in HEADED]
    return EncoderModel(backbone, {spec.task: make_head(spec, encoder.config, seed) for spec in specs}).eval()


@pytest.mark.parametrize("model_type", ["bert", "mt5"])
@pytest.mark.parametrize("kind", HEADED)
def test_a_head_begins_by_seed_and_task_alone(model_type, kind):
    config = tiny_config(model_type)

    def weights(seed: int, task: str) -> torch.Tensor:
        torch.rand(seed + 3)  # the global state must not matter
        return make_head(head_spec(task, kind), config, seed).output.weight.detach()

    assert torch.equal(weights(1, "mnli"), weights(1, "mnli"))
    assert not torch.equal(weights(1, "mnli"), weights(2, "mnli"))
    assert not torch.equal(weights(1, "mnli"), weights(1, "qqp"))


@pytest.mark.parametrize(("model_type", "std"), [("bert", 0.3), ("mt5", 16**-0.5)])
def test_a_head_begins_as_the_config_says(model_type, std):
    spec = HeadSpec("ccg", TaskType.TAGGING, tuple(map(str, range(1000))), Pooling.MEAN)
    head = make_head(spec, tiny_config(model_type), 7)
    assert head.output.weight.std().item() == pytest.approx(std, rel=0.05)
    assert not head.output.bias.any()


@pytest.mark.parametrize("kind", [TaskType.RETRIEVAL, TaskType.MINING])
def test_retrieval_has_no_head(kind):
    with pytest.raises(ValueError, match="has no head"):
        make_head(head_spec("tatoeba", kind), tiny_config("bert"), 0)


def test_mt5_has_no_pooling_of_transformers_own():
    with pytest.raises(SpecError, match="must be First or Mean"):
        make_head(head_spec("mnli", TaskType.CLASSIFICATION, Pooling.TRANSFORMERS), tiny_config("mt5"), 0)


@pytest.mark.parametrize("pooling", [Pooling.FIRST, Pooling.MEAN])
@pytest.mark.parametrize("model_type", list(FAMILIES))
def test_padding_changes_no_logits(model_type, pooling):
    model = model_of(model_type, pooling=pooling)
    batch = random_batch(3, 8)
    wider = {
        name: torch.nn.functional.pad(tensor, (0, 5), value=int(name == "input_ids"))
        for name, tensor in batch.items()
    }
    for task in ("classification", "tagging", "spanqa"):
        narrow, wide = model.logits(task, batch), model.logits(task, wider)
        if task != "classification":
            real = batch["attention_mask"] == 1
            narrow, wide = narrow[real], wide[:, :8][real]
        torch.testing.assert_close(narrow, wide, atol=1e-5, rtol=0)


def test_choices_are_scored_one_by_one():
    model = model_of("xlm-roberta")
    batch = random_batch(2, 3, 7)
    logits = model.logits("multiplechoice", batch)
    assert logits.shape == (2, 3)
    for choice in range(3):
        alone = model.logits(
            "multiplechoice", {name: tensor[:, choice : choice + 1] for name, tensor in batch.items()}
        )
        torch.testing.assert_close(alone.squeeze(1), logits[:, choice], atol=1e-5, rtol=0)


@pytest.mark.parametrize("task", ["train", "items", "type", "my-own_task"])
def test_a_task_may_be_called_anything_that_a_name_may_be(task):
    backbone = model_of("bert").backbone
    head = make_head(head_spec(task, TaskType.TAGGING), backbone.config, 0)
    model = EncoderModel(backbone, {task: head})
    assert set(map(id, head.parameters())) < set(map(id, model.parameters()))
    assert model.logits(task, random_batch(1, 4)).shape == (1, 4, 3)


def test_token_types_reach_only_an_encoder_that_has_them():
    batch = random_batch(2, 6)
    typed = {**batch, "token_type_ids": torch.ones_like(batch["input_ids"])}
    for model_type, differs in (
        ("xlm-roberta", False),
        ("mt5", False),
        ("deberta-v2", False),
        ("bert", True),
    ):
        model = model_of(model_type)
        same = torch.equal(model.logits("classification", batch), model.logits("classification", typed))
        assert same is not differs, model_type


class TestNullAnswerOfMt5:
    """mT5 has no first token of its own: a learned query gives position 0."""

    def test_position_0_hangs_on_the_whole_sequence_and_on_no_padding(self):
        model = model_of("mt5")
        batch = random_batch(2, 8)
        changed = {**batch, "input_ids": batch["input_ids"].clone()}
        changed["input_ids"][0, 2] = (changed["input_ids"][0, 2] - 4) % 50 + 5
        before, after = model.logits("spanqa", batch), model.logits("spanqa", changed)
        assert not torch.allclose(before[0, 0], after[0, 0], atol=1e-4)
        assert torch.equal(before[1, 0], after[1, 0])

    def test_it_is_learned(self):
        model = model_of("mt5")
        batch = {
            **random_batch(2, 8),
            "start_positions": torch.tensor([0, 2]),
            "end_positions": torch.tensor([0, 2]),
        }
        model.loss("spanqa", batch).backward()
        assert model.heads["spanqa"].null.grad.any()

    def test_other_backbones_use_their_first_token(self):
        assert model_of("bert").heads["spanqa"].null is None


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**16))
def test_the_mean_is_over_the_mask(rows, length, seed):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, length, 3, generator=generator)
    mask = torch.randint(0, 2, (rows, length), generator=generator)
    mask[:, 0] = 1
    expected = torch.stack([hidden[row][mask[row] == 1].mean(dim=0) for row in range(rows)])
    torch.testing.assert_close(masked_mean(hidden, mask), expected)


@pytest.mark.parametrize("model_type", list(FAMILIES))
def test_a_saved_model_answers_equally_and_its_bytes_repeat(tmp_path, model_type):
    model = model_of(model_type)
    model.save(tmp_path / "a")
    loaded = EncoderModel.load(tmp_path / "a", FAMILIES[model_type]).eval()
    loaded.save(tmp_path / "b")
    batch = random_batch(3, 9)
    for task in ("classification", "tagging", "spanqa"):
        assert torch.equal(model.logits(task, batch), loaded.logits(task, batch))
    content = [
        {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        for root in (tmp_path / "a", tmp_path / "b")
    ]
    assert content[0] == content[1]
    assert all(
        path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / "a").rglob("*")
    )  # others may read
    assert {"encoder/model.safetensors", "heads/tagging.safetensors", "heads.json"} < set(content[0])
    assert json.loads(content[0]["heads.json"])[0] == {
        "task": "classification",
        "type": "Classification",
        "labels": list(LABELS),
        "pooling": "Mean",
    }


class TestDamagedHeads:
    @pytest.fixture
    def folder(self, tmp_path):
        model_of("bert").save(tmp_path)
        return tmp_path

    def refused(self, folder, part):
        with pytest.raises(DataError, match=part):
            EncoderModel.load(folder, Family.BERT)

    def test_no_list(self, folder):
        (folder / "heads.json").unlink()
        self.refused(folder, "heads.json: must be there")

    def test_a_list_of_something_else(self, folder):
        (folder / "heads.json").write_text('[{"task": 3}]')
        self.refused(folder, "must list heads")

    def test_missing_weights(self, folder):
        (folder / "heads" / "tagging.safetensors").unlink()
        self.refused(folder, r"tagging.safetensors: must hold the weights of the Tagging head")

    def test_weights_of_another_shape(self, folder):
        listing = json.loads((folder / "heads.json").read_text())
        listing[0]["labels"].append("more")
        (folder / "heads.json").write_text(json.dumps(listing))
        self.refused(folder, r"classification.safetensors: must hold the weights")


@pytest.mark.parametrize("model_type", ["bert", "mt5"])
def test_dropout_can_be_set_without_touching_the_config(model_type):
    model = model_of(model_type).train()
    batch = random_batch(3, 9)
    before = model.backbone.config.to_dict()
    assert not torch.equal(model.logits("classification", batch), model.logits("classification", batch))
    model.set_dropout(0.0)
    assert torch.equal(model.logits("classification", batch), model.logits("classification", batch))
    assert model.backbone.config.to_dict() == before


class TestMaskedLM:
    @pytest.mark.parametrize(
        ("model_type", "changes"),
        [("xlm-roberta", {}), ("bert", {}), ("deberta-v2", {}), ("deberta-v2", {"legacy": False})],
    )
    def test_the_checkpoints_own_head_is_used(self, saved, model_type, changes):
        folder = saved(model_type, "ForMaskedLM", **changes)
        theirs = tiny_model(model_type, "ForMaskedLM", **changes)
        model = load_masked_lm(load_backbone(folder, FAMILIES[model_type]), folder, seed=0).eval()
        batch = random_batch(2, 8)
        labels = torch.full_like(batch["input_ids"], -100)
        labels[:, 1:3] = 7
        expected = theirs(**batch, labels=labels)
        torch.testing.assert_close(model.loss({**batch, "labels": labels}), expected.loss, atol=1e-5, rtol=0)

    def test_without_one_it_begins_by_the_seed(self, saved):
        folder = saved("bert", "Model")
        first, again, other = (
            load_masked_lm(load_backbone(folder, Family.BERT), folder, seed=seed).head.dense.weight
            for seed in (1, 1, 2)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_a_batch_without_masks_costs_nothing(self, saved):
        folder = saved("bert", "Model")
        model = load_masked_lm(load_backbone(folder, Family.BERT), folder, seed=1)
        batch = random_batch(2, 5)
        assert model.loss({**batch, "labels": torch.full_like(batch["input_ids"], -100)}).item() == 0

    def test_mt5_is_told_its_objective(self, saved):
        folder = saved("mt5", "EncoderModel")
        with pytest.raises(SpecError, match="SpanCorruption for mT5"):
            load_masked_lm(load_backbone(folder, Family.MT5), folder, seed=1)
