"""Text to text against transformers' own MT5ForConditionalGeneration: loss, logits, gradients, what is said, the folder."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import MT5Config, MT5ForConditionalGeneration

from xstilts.errors import DataError, SpecError
from xstilts.stage import Family
from xstilts.task import Metric, Task, TaskType
from xstilts_trainer.data.text_pieces import TextPieces
from xstilts_trainer.evaluation.generate import FreeChoice, generate
from xstilts_trainer.models import text_to_text
from xstilts_trainer.models.backbone import load_backbone
from xstilts_trainer.models.text_to_text import TextToText

TASK = Task(name="t", type=TaskType.CLASSIFICATION, format="nli", metric=Metric.ACCURACY, labels=("a", "b"))


def theirs(tokenizer, *, tied: bool = False) -> MT5ForConditionalGeneration:
    torch.manual_seed(0)
    model = MT5ForConditionalGeneration(
        MT5Config(vocab_size=len(tokenizer) + 4, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    )
    if not tied:
        model.lm_head.weight = nn.Parameter(torch.randn_like(model.lm_head.weight))
        model.all_tied_weights_keys.pop("lm_head.weight", None)
    return model.eval()


def a_batch(tokenizer) -> dict[str, torch.Tensor]:
    inputs = tokenizer(["w1 w2 w3 w4 red", "w5"], padding=True, return_tensors="pt")
    answers = tokenizer(["w7 blue", "w1 w2 w3"], padding=True, return_tensors="pt")["input_ids"]
    return {**inputs, "labels": answers.masked_fill(answers == 0, -100)}


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied head"])
def test_loss_and_gradients(mt5_tokenizer, tied, training):
    own, other = (theirs(mt5_tokenizer, tied=tied).train(training) for _ in range(2))
    batch = a_batch(mt5_tokenizer)
    torch.manual_seed(3)
    expected = other(**batch)
    expected.loss.backward()
    model = TextToText(own, mt5_tokenizer)
    torch.manual_seed(3)
    loss = model.loss("t", batch)
    loss.backward()
    torch.testing.assert_close(loss, expected.loss, atol=1e-5, rtol=0)
    gradients = dict(own.named_parameters())
    assert len(gradients) > 30
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(gradients[name].grad, parameter.grad, atol=1e-5, rtol=0, msg=name)


def test_a_mask_as_a_gpu_gets_it_hides_the_same(mt5_tokenizer, monkeypatch):
    model, batch = TextToText(theirs(mt5_tokenizer), mt5_tokenizer).eval(), a_batch(mt5_tokenizer)
    found = []
    for shown in (text_to_text._shown, text_to_text._spread):
        monkeypatch.setattr(text_to_text, "_shown", shown)
        choose = FreeChoice(torch.tensor([0]), 1, 4, may_be_empty=False)
        said = generate(model, batch, choose, 1)
        found.append((model.loss("t", batch), said.log_probability))
    for plain, spread in zip(*found, strict=True):
        torch.testing.assert_close(spread, plain, atol=1e-5, rtol=0)
    hidden = model.loss("t", {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])})
    assert abs(hidden - found[0][0]) > 1e-3  # it hides something


def test_logits_and_scores(mt5_tokenizer):
    other = theirs(mt5_tokenizer)
    model, batch = TextToText(other, mt5_tokenizer), a_batch(mt5_tokenizer)
    logits = other(**batch).logits
    shown = other.prepare_decoder_input_ids_from_labels(batch["labels"])
    torch.testing.assert_close(
        model.logits(model.decode(model.encode(batch), shown)), logits, atol=1e-5, rtol=0
    )
    targets = [torch.tensor(mt5_tokenizer(text)["input_ids"]) for text in ("0", "w1 w2")]
    scores = model.score(batch, targets)
    for column, target in enumerate(targets):
        for row in range(2):
            one = {name: batch[name][row : row + 1] for name in ("input_ids", "attention_mask")}
            loss = other(**one, labels=target.unsqueeze(0)).loss
            torch.testing.assert_close(scores[row, column], -loss * len(target), atol=1e-4, rtol=0)


def test_a_batch_without_labels_has_no_loss(mt5_tokenizer):
    batch = a_batch(mt5_tokenizer)
    batch["labels"] = torch.full_like(batch["labels"], -100)
    assert TextToText(theirs(mt5_tokenizer), mt5_tokenizer).loss("t", batch).item() == 0


def test_what_is_said_is_what_transformers_generates(mt5_tokenizer):
    other = theirs(mt5_tokenizer)
    batch = a_batch(mt5_tokenizer)
    pieces = TextPieces(mt5_tokenizer)
    forbidden = [*pieces.sentinels, pieces.pad_id, *range(len(mt5_tokenizer), other.config.vocab_size)]
    expected = other.generate(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], do_sample=False, num_beams=1,
        max_new_tokens=8, suppress_tokens=forbidden,
    )  # fmt: skip
    choose = FreeChoice(torch.tensor(forbidden), pieces.end_id, 8, may_be_empty=True)
    with torch.inference_mode():
        said = generate(TextToText(other, mt5_tokenizer), batch, choose, pieces.end_id)
    for row, found in enumerate(said.pieces):
        assert found == [piece for piece in expected[row, 1:].tolist() if piece not in (0, pieces.end_id)]


@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied head"])
def test_every_weight_is_saved_and_read_again(mt5_tokenizer, tmp_path, tied):
    own = theirs(mt5_tokenizer, tied=tied)
    model = TextToText(own, mt5_tokenizer)
    model.tasks = {"t": TASK}
    model.save(tmp_path / "a")
    again = TextToText.load(tmp_path / "a", Family.MT5)
    again.save(tmp_path / "b")
    assert again.tasks == {"t": TASK}
    saved = load_file(tmp_path / "a/encoder/model.safetensors")
    assert ("lm_head.weight" in saved) is not tied
    assert json.loads((tmp_path / "a/encoder/config.json").read_text())["tie_word_embeddings"] is tied
    for name, parameter in own.named_parameters():
        assert torch.equal(again.seq2seq.get_parameter(name), parameter), name
    for file in ("encoder/model.safetensors", "encoder/config.json", "tasks.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    theirs_again = MT5ForConditionalGeneration.from_pretrained(tmp_path / "a/encoder").eval()
    batch = a_batch(mt5_tokenizer)
    assert torch.equal(theirs_again(**batch).loss, own(**batch).loss)
    encoder = load_backbone(tmp_path / "a/encoder", Family.MT5).encoder
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(encoder(**inputs).last_hidden_state, own.get_encoder()(**inputs).last_hidden_state)


def test_what_is_no_such_model_is_refused(mt5_tokenizer, tmp_path):
    model = TextToText(theirs(mt5_tokenizer), mt5_tokenizer)
    model.save(tmp_path)
    with pytest.raises(SpecError, match="must be EncoderHead for the family XLMR, which has no decoder"):
        TextToText.load(tmp_path, Family.XLMR)
    own = load_backbone(tmp_path / "encoder", Family.MT5)
    own.encoder.save_pretrained(tmp_path / "encoder")
    with pytest.raises(
        DataError, match=r"must hold every weight of the model that config.json describes, lacks"
    ):
        TextToText.load(tmp_path, Family.MT5)
    (tmp_path / "tasks.json").write_text("[3]")
    with pytest.raises(DataError, match=r"tasks\.json: must list tasks"):
        TextToText.load(tmp_path, Family.MT5)
    (tmp_path / "tasks.json").unlink()
    with pytest.raises(DataError, match=r"tasks\.json: must be there"):
        TextToText.load(tmp_path, Family.MT5)
