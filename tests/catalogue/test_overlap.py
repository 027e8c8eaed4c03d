"""Relations between intermediates, targets and languages are computed from the entries' sources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.catalogue import INTERMEDIATES, TARGETS
from xstilts.catalogue.overlap import Relation, TrainingOverlap, relation

NONE, PARTIAL, SAME = TrainingOverlap
mixes = st.lists(st.sampled_from(INTERMEDIATES), max_size=9, unique=True)


@pytest.mark.parametrize(
    ("tasks", "target", "overlap"),
    [
        (["squad"], "xquad", SAME),
        (["squad"], "mlqa", SAME),
        (["mnli"], "xnli", SAME),
        (["anli_plus"], "xnli", PARTIAL),
        (["squad_v2"], "xquad", PARTIAL),
        (["squad"], "tydiqa", NONE),
        (["qqp"], "pawsx", NONE),
        (["mnli"], "tatoeba", NONE),
        (["commonsense_qa"], "xnli", NONE),
        ([], "xnli", NONE),
        (["qqp", "squad_v2"], "mlqa", PARTIAL),
        (INTERMEDIATES, "xnli", SAME),
        (["own-task"], "own-task", SAME),
        (["own-task"], "xnli", NONE),
    ],
)
def test_known_relations(tasks, target, overlap):
    assert relation(tasks, target, "de") == Relation(overlap, language_seen=False)


def test_a_translated_intermediate_has_seen_the_target_language():
    assert relation(["mnli"], "xnli", "de", translated_to=["de"]).language_seen
    assert relation(["mnli"], "tatoeba", "de", translated_to=["de"]).flagged
    assert not relation(["mnli"], "tatoeba", "fr", translated_to=["de"]).flagged
    assert not relation(["mnli"], "tatoeba", "en", translated_to=["en", "de"]).language_seen


@given(mixes, mixes, st.sampled_from(TARGETS))
def test_a_mix_inherits_the_strongest_of_its_parts(first, second, target):
    whole = relation([*first, *second], target, "sw").overlap
    assert whole == max(relation(part, target, "sw").overlap for part in (first, second))
