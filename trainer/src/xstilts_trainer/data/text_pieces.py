"""The pieces of a text-to-text model: those of texts, the piece that ends a text, and the sentinels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from xstilts.errors import DataError
from xstilts_trainer.data.pieces import PieceIds, PieceTokenizer

# mT5's sentencepiece model holds them as words of their own; T5's tokenizers add them
SENTINEL_NAMES = ("▁<extra_id_{}>", "<extra_id_{}>")


class TextPieces(PieceTokenizer):
    """A `PieceTokenizer` of a model that answers in text.

    Attributes:
        end_id: the piece that ends a text.
        sentinels: the pieces `<extra_id_0>`, `<extra_id_1>`, … in this order: they mark places, and stand in no text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Read the special pieces off the tokenizer.

        Raises:
            DataError: it has no fast backend, no piece that ends a text, or no sentinels.
        """
        super().__init__(tokenizer)
        self._transformers = tokenizer
        if tokenizer.eos_token_id is None:
            raise DataError("the model's tokenizer must have a piece that ends a text (eos_token), has none")
        self.end_id: int = tokenizer.eos_token_id
        self.sentinels = tuple(_sentinels(tokenizer.get_vocab()))
        if not self.sentinels:
            raise DataError(
                "the model's tokenizer must have sentinels (<extra_id_0>, …), as mT5's has; has none"
            )

    def ended(self, pieces: Sequence[int] | PieceIds) -> PieceIds:
        """The pieces and the one that ends a text."""
        return np.append(np.asarray(pieces, dtype=np.int32), np.int32(self.end_id))

    def text(self, pieces: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """The text that pieces spell, without special pieces."""
        decoded = self._transformers.decode(
            list(map(int, pieces)), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(decoded).strip()


def _sentinels(vocabulary: Mapping[str, int]) -> Iterator[int]:
    for number in count():
        names = [name.format(number) for name in SENTINEL_NAMES if name.format(number) in vocabulary]
        if not names:
            return
        yield vocabulary[names[0]]
