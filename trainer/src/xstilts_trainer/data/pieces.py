"""Text to piece ids, and the templates that a tokenizer puts around them (XLM-R: `<s> A </s></s> B </s>`).

The pieces come from the fast tokenizer behind a transformers tokenizer, without special tokens; those are added here
from a template that is read off the tokenizer itself. So windows and truncation are arithmetic on piece ids, the same
for every task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from xstilts.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerBase

PieceIds: TypeAlias = npt.NDArray[np.int32]
CHUNK = 1000  # texts that are encoded in one call: bounds what the encodings hold beside their ids

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One sequence as the model reads it: piece ids [T], and their types [T] where the tokenizer gives them."""

    ids: PieceIds
    type_ids: PieceIds | None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Template:
    """The special pieces around one text (a `middle` of none) or a pair."""

    before: tuple[int, ...]
    middle: tuple[int, ...]
    after: tuple[int, ...]
    type_ids: tuple[int, ...] | None  # of before, A, middle, B, after; None where the model takes none

    @property
    def special_pieces(self) -> int:
        """How many pieces the template adds."""
        return len(self.before) + len(self.middle) + len(self.after)

    def fill(self, first: PieceIds, second: PieceIds | None = None) -> ModelInput:
        """Put the pieces of a text, or of a pair, in their places."""
        parts = [self.before, first, self.middle, () if second is None else second, self.after]
        ids = np.concatenate([np.asarray(part, dtype=np.int32) for part in parts])
        if self.type_ids is None:
            return ModelInput(ids, None)
        return ModelInput(ids, np.repeat(np.asarray(self.type_ids, np.int32), [len(part) for part in parts]))


class PieceTokenizer:
    """The piece ids of texts and words, and the templates of one text and of a pair."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Read the templates off the tokenizer.

        Raises:
            DataError: a tokenizer without a fast backend (no tokenizer.json and none could be made from its files).
        """
        backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise DataError(
                f"the model's tokenizer must be a fast one, was {type(tokenizer).__name__}: save it with a tokenizer.json"
            )
        self._tokenizer = backend
        self.pad_id: int = tokenizer.pad_token_id
        self.pad_type_id: int = tokenizer.pad_token_type_id
        self.unknown_id: int = tokenizer.unk_token_id
        typed = "token_type_ids" in tokenizer.model_input_names
        self.single = _template(self._backend.encode("a"), typed=typed)
        self.pair = _template(self._backend.encode("a", "a"), typed=typed)

    @property
    def _backend(self) -> Tokenizer:
        """The backend without truncation and padding: a call of the transformers tokenizer leaves its own settings there."""
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        return self._tokenizer

    def ids(self, texts: Sequence[str]) -> Iterator[PieceIds]:
        """The piece ids of each text."""
        for chunk in chunks(texts, CHUNK):
            for encoding in self._backend.encode_batch_fast(chunk, add_special_tokens=False):
                yield np.array(encoding.ids, dtype=np.int32)

    def ids_and_offsets(self, texts: Sequence[str]) -> Iterator[tuple[PieceIds, PieceIds]]:
        """The piece ids [P] of each text and the characters [P, 2] that each piece covers, without outer spaces.

        XLM-R's tokenizers count the space before a word to its first piece: it is trimmed off.
        """
        for chunk in chunks(texts, CHUNK):
            encodings = self._backend.encode_batch(chunk, add_special_tokens=False)
            for text, encoding in zip(chunk, encodings, strict=True):
                offsets = [_trimmed(text, start, end) for start, end in encoding.offsets]
                yield np.array(encoding.ids, np.int32), np.array(offsets, np.int32).reshape(-1, 2)

    def words(self, sentences: Sequence[Sequence[str]]) -> Iterator[list[list[int]]]:
        """The piece ids of each word of each sentence.

        A word of which the tokenizer leaves nothing (a zero-width space, an empty string) gets the unknown piece, as
        in XTREME's tagging code, so that every word has a place and a prediction.
        """
        for chunk in chunks(sentences, CHUNK):
            encodings = self._backend.encode_batch(chunk, is_pretokenized=True, add_special_tokens=False)
            for sentence, encoding in zip(chunk, encodings, strict=True):
                pieces: list[list[int]] = [[] for _ in sentence]
                for piece, word in zip(encoding.ids, encoding.word_ids, strict=True):
                    if word is not None:
                        pieces[word].append(piece)
                yield [word or [self.unknown_id] for word in pieces]


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _template(example: Encoding, *, typed: bool) -> Template:
    """What stands around the texts in an encoded example. The texts are one piece or more each."""
    parts: list[list[int]] = [[], [], [], [], []]  # before, A, middle, B, after
    type_ids = [0, 0, 0, 0, 0]
    place = 0
    for piece, type_id, sequence in zip(example.ids, example.type_ids, example.sequence_ids, strict=True):
        if sequence is not None:
            place = 1 + 2 * sequence
        elif place % 2:
            place += 1
        parts[place].append(piece)
        type_ids[place] = type_id
    if not parts[3]:  # one text: what follows it closes it
        parts[2], parts[4] = [], parts[2]
        type_ids[4] = type_ids[2]
    return Template(tuple(parts[0]), tuple(parts[2]), tuple(parts[4]), tuple(type_ids) if typed else None)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
