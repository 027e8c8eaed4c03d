"""Entity F1 as seqeval 0.0.12 counts it, which is XTREME's measure of both PAN-X and POS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xstilts.scoring.accuracy import token_accuracy
from xstilts.scoring.fscore import f_scores

OUTSIDE = "O"
Entity = tuple[str, int, int]  # type, first and last position in the sentences laid end to end


def tagging_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """F1, precision and recall of entities, and the accuracy of tokens, in percent.

    An entity counts when type, start and end are right. `f1`, `precision` and `recall` are those of seqeval 0.0.12
    (metrics/sequence_labeling.py), the version that XTREME's published POS scores rest on; 1.2.2 gives others.

    Raises:
        ValueError: no tokens, or sentences of unequal numbers or lengths.
    """
    tokens = token_accuracy(gold, predicted)["accuracy"]
    wanted, found = set(entities(gold)), set(entities(predicted))
    return f_scores(len(wanted & found), len(found), len(wanted)) | {"token_accuracy": tokens}


def entities(sentences: Sequence[Sequence[str]]) -> Iterator[Entity]:
    """The entities of tagged sentences, by the rules of seqeval 0.0.12's `get_entities`.

    A tag's prefix is its first character and its type what follows the last `-`, or the whole tag where there is none.
    So a POS tag is its own type, and neighbours of the same tag make one entity; only SCONJ and SYM, whose S is read as
    the scheme's single-token mark, stand alone.
    """
    start, prefix, kind = 0, OUTSIDE, ""
    for position, tag in enumerate(_end_to_end(sentences)):
        next_prefix, next_kind = tag[0], tag.rsplit("-", 1)[-1]
        changed = kind != next_kind
        if _ends(prefix, next_prefix, changed=changed):
            yield kind, start, position - 1
        if _starts(prefix, next_prefix, changed=changed):
            start = position
        prefix, kind = next_prefix, next_kind


def _end_to_end(sentences: Sequence[Sequence[str]]) -> Iterator[str]:
    """All tags, with an outside tag after each sentence, so that no entity reaches into the next."""
    for sentence in sentences:
        yield from sentence
        yield OUTSIDE


def _ends(prefix: str, following: str, *, changed: bool) -> bool:
    """Whether an entity ends between two tags."""
    return prefix in "ES" or (prefix in "BI" and following in "BSO") or (prefix not in "O." and changed)


def _starts(prefix: str, following: str, *, changed: bool) -> bool:
    """Whether an entity starts with the second of two tags."""
    return following in "BS" or (prefix in "ESO" and following in "EI") or (following not in "O." and changed)
