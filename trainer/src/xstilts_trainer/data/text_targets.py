"""What a text-to-text model answers, in pieces: labels, tags and mentions, and how they are read back.

Everything is written and read as pieces, not as text: whatever a tokenizer normalises or does not know, what is
written is read back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from xstilts.catalogue.texts import text_format
from xstilts.errors import DataError, Problem
from xstilts.task import Task
from xstilts_trainer.data.pieces import PieceIds
from xstilts_trainer.data.text_pieces import TextPieces

OUTSIDE = "O"
SEPARATOR = "$$"


def label_targets(pieces: TextPieces, task: Task) -> list[PieceIds]:
    """The pieces of each label's text and its end, in the order of the labels' numbers.

    Raises:
        DataError: two labels that the tokenizer does not tell apart.
    """
    format_ = text_format(task)
    return [
        pieces.ended(ids) for ids in _told_apart(pieces, task, [format_.label(name) for name in task.labels])
    ]


def choice_targets(pieces: TextPieces, choices: int) -> list[PieceIds]:
    """The pieces of the numbers of so many choices, each with its end."""
    return [pieces.ended(ids) for ids in pieces.ids([str(number) for number in range(choices)])]


@dataclass
class _Node:
    """A place in the tree of all tags' pieces: those that may follow, and the tag that ends here."""

    children: dict[int, _Node] = field(default_factory=dict)
    tag: int | None = None


class TagTargets:
    """A sentinel and a tag for each word of a sentence."""

    def __init__(self, pieces: TextPieces, task: Task) -> None:
        """Make the tree of the task's tags.

        Raises:
            DataError: two tags that the tokenizer does not tell apart.
        """
        self._pieces = pieces
        self._tags = _told_apart(pieces, task, task.labels)
        self.root = _Node()
        for number, tag in enumerate(self._tags):
            node = self.root
            for piece in tag.tolist():
                node = node.children.setdefault(piece, _Node())
            node.tag = number

    def target(self, tags: Sequence[int]) -> PieceIds:
        """The pieces for the tags of a sentence; there must be a sentinel for each word."""
        parts = [
            np.append(np.int32(sentinel), self._tags[tag])
            for sentinel, tag in zip(self._pieces.sentinels, tags, strict=False)
        ]
        return self._pieces.ended(np.concatenate(parts))

    def reader(self, words: int) -> TagReader:
        """What reads the tags of so many words."""
        return TagReader(self.root, (*self._pieces.sentinels[:words], self._pieces.end_id))


class TagReader:
    """Reads a target piece by piece, and knows which may come next: every word gets one tag."""

    def __init__(self, root: _Node, marks: Sequence[int]) -> None:
        self._root = root
        self._marks = marks  # what stands before each word's tag, and behind the last one
        self._node = _Node(tag=-1)
        self._read: list[int] = []

    @property
    def allowed(self) -> list[int]:
        """The pieces of which one must follow; none when all is read."""
        if len(self._read) == len(self._marks):
            return []
        allowed = list(self._node.children)
        if self._node.tag is not None:
            allowed.append(self._marks[len(self._read)])
        return allowed

    def push(self, piece: int) -> None:
        """Read one more piece, one of `allowed`."""
        if piece in self._node.children:
            self._node = self._node.children[piece]
            return
        assert self._node.tag is not None  # noqa: S101 - else no mark was allowed
        self._read.append(self._node.tag)
        self._node = self._root

    @property
    def tags(self) -> list[int]:
        """The tags that were read."""
        return self._read[1:]


class MentionTargets:
    """`PER: a $$ LOC: b`: the mentions that IOB2 tags mark, in their order."""

    def __init__(self, pieces: TextPieces, task: Task) -> None:
        """Read the types off the tags.

        Raises:
            DataError: tags that are no IOB2 tags, or types that the tokenizer does not tell apart.
        """
        self._pieces = pieces
        self._labels = task.labels
        self._numbers = {name: number for number, name in enumerate(task.labels)}
        self._types = sorted({name[2:] for name in task.labels if name != OUTSIDE})
        wanted = {OUTSIDE, *(f"{begin}-{type_}" for type_ in self._types for begin in "BI")}
        if wanted != set(task.labels):
            raise DataError(
                Problem(
                    f"{task.name}: labels",
                    f"must be O and a B- and an I- tag a type, were {', '.join(task.labels)}",
                )
            )
        self._names = _told_apart(pieces, task, [f"{type_}:" for type_ in self._types])
        self._separator = next(pieces.ids([SEPARATOR]))

    def target(self, words: Sequence[PieceIds], tags: Sequence[int]) -> PieceIds:
        """The pieces for the tags of a sentence whose words have these pieces."""
        parts: list[PieceIds] = []
        for type_, start, end in self._mentions(tags):
            if parts:
                parts.append(self._separator)
            parts += [self._names[self._types.index(type_)], *words[start:end]]
        return self._pieces.ended(np.concatenate(parts) if parts else [])

    def read(self, target: Sequence[int], words: Sequence[PieceIds]) -> list[int]:
        """The tags of the words.

        A mention is looked for behind the one before it, and where it is not there, anywhere among the words without a
        tag; what is no mention of a type and words of the sentence is left out. So tags that are IOB2 come back as they
        were, but for a mention whose words stand untagged before it, after the mention before: the format does not say
        which is meant.
        """
        tags = [self._numbers[OUTSIDE]] * len(words)
        behind = 0
        for mention in _split(
            [piece for piece in target if piece != self._pieces.end_id], self._separator.tolist()
        ):
            for type_, name in zip(self._types, self._names, strict=True):
                found = mention[len(name) :] if mention[: len(name)] == name.tolist() else []
                place = self._find(found, words, tags, behind) or self._find(found, words, tags, 0)
                if place:
                    start, behind = place
                    tags[start:behind] = [
                        self._numbers[f"{'I' if word > start else 'B'}-{type_}"]
                        for word in range(start, behind)
                    ]
                    break
        return tags

    def _find(
        self, mention: list[int], words: Sequence[PieceIds], tags: Sequence[int], behind: int
    ) -> tuple[int, int] | None:
        """The first words from `behind` on that have these pieces and no tag yet: [start, end)."""
        for start in range(behind, len(words)):
            rest, end = mention, start
            while rest and end < len(words) and tags[end] == self._numbers[OUTSIDE]:
                word = words[end].tolist()
                if rest[: len(word)] != word:
                    break
                rest, end = rest[len(word) :], end + 1
            if not rest and end > start:
                return start, end
        return None

    def _mentions(self, tags: Sequence[int]) -> Iterator[tuple[str, int, int]]:
        """Type, start and end of each mention; an I- tag that continues nothing begins one."""
        names = [*(self._labels[tag] for tag in tags), OUTSIDE]
        start = 0
        for place, name in enumerate(names):
            before = names[place - 1] if place else OUTSIDE
            if name != f"I-{before[2:]}":
                if before != OUTSIDE:
                    yield before[2:], start, place
                start = place


def _told_apart(pieces: TextPieces, task: Task, texts: Sequence[str]) -> list[PieceIds]:
    """The pieces of the texts of labels."""
    encoded = list(pieces.ids(texts))
    seen: dict[tuple[int, ...], str] = {}
    for text, ids in zip(texts, encoded, strict=True):
        other = seen.setdefault(tuple(ids.tolist()), text)
        if other != text or not len(ids):
            raise DataError(
                Problem(
                    f"{task.name}: labels",
                    f"must be told apart by the model's tokenizer: {text} has the pieces of {other if len(ids) else 'nothing'};"
                    " name the labels in words that it knows",
                )
            )
    return encoded


def _split(pieces: list[int], separator: list[int]) -> Iterator[list[int]]:
    """The parts between separators."""
    start = place = 0
    while place < len(pieces):
        if pieces[place : place + len(separator)] == separator:
            yield pieces[start:place]
            start = place = place + len(separator)
        else:
            place += 1
    yield pieces[start:]
