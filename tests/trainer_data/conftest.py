"""Tokenizers for the data tests: XLM-R's real one, and small ones with BERT's and mT5's templates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from xstilts.catalogue import CATALOGUE
from xstilts.errors import DataError
from xstilts.task import Task
from xstilts_trainer.data.load import load_examples
from xstilts_trainer.data.pieces import PieceTokenizer

Write = Callable[[str, Sequence[Mapping[str, object]]], Path]
MNLI = CATALOGUE["mnli"].task
SQUAD = CATALOGUE["squad"].task


def nli(**changes: object) -> dict[str, object]:
    """A row of MNLI."""
    return {"premise": "P", "hypothesis": "H", "label": 0} | changes


def span(**changes: object) -> dict[str, object]:
    """A row of SQuAD."""
    answers = {"text": ["big"], "answer_start": [7]}
    return {"id": "a", "context": "Rio is big.", "question": "What?", "answers": answers} | changes


def problems(folder: Path, task: Task, split: str = "train", language: str = "en") -> list[str]:
    """What is said of a file that is wrong."""
    with pytest.raises(DataError) as caught:
        load_examples(folder, task, split, language)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(scope="session")
def xlmr(tokenizer_dir: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tokenizer_dir)


@pytest.fixture(scope="session")
def xlmr_pieces(xlmr: PreTrainedTokenizerBase) -> PieceTokenizer:
    return PieceTokenizer(xlmr)


@pytest.fixture(scope="session")
def bert() -> PreTrainedTokenizerBase:
    """One piece a letter, `[CLS] A [SEP] B [SEP]`, with token types."""
    tokenizer = letters({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3})
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def mt5() -> PreTrainedTokenizerBase:
    """One piece a letter, `A </s> B </s>`: no special piece comes first."""
    tokenizer = letters({"<pad>": 0, "</s>": 1, "<unk>": 2})
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def bert_pieces(bert: PreTrainedTokenizerBase) -> PieceTokenizer:
    return PieceTokenizer(bert)


@pytest.fixture(scope="session")
def mt5_pieces(mt5: PreTrainedTokenizerBase) -> PieceTokenizer:
    return PieceTokenizer(mt5)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows as JSON lines into the test's folder, which is returned."""

    def as_json_lines(name: str, rows: Sequence[Mapping[str, object]]) -> Path:
        lines = (json.dumps(row) + "\n" for row in rows)
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
        return tmp_path

    return as_json_lines


def letters(special: dict[str, int]) -> Tokenizer:
    """A tokenizer of single letters a to z; white space separates and is no piece, other characters are unknown."""
    vocabulary = special | {
        letter: len(special) + place for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz")
    }
    unknown = next(name for name in special if "unk" in name.lower())
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    return tokenizer
