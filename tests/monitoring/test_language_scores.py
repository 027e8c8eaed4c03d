"""Scores by language as metrics: of each cell the mean over its seeds, made anew only where something has changed."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.planned import NAMESPACE, plan_in
from xstilts.stage import Kind
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.metrics.languages import LanguageScores
from xstilts_operator.plans import FrozenStage

GRID: dict[str, Any] = {"intermediates": ("qqp",), "targets": ("xnli", "xquad"), "seeds": (1, 2)}


def scored(stage: FrozenStage) -> dict[str, Any]:
    """Seed 1 has scored 60 in English and 40 in German, seed 2 ten more; of German in XQuAD one number is missing."""
    if stage.kind is not Kind.EVALUATE:
        return {"state": "Succeeded"}
    more = 10 if stage.title.endswith("seed 2") else 0
    accuracy = {"en": f"{60 + more}.00", "de": f"{40 + more}.00"}
    scores = {
        "xnli": {"accuracy": accuracy},
        "xquad": {"f1": accuracy, "exact_match": {"en": f"{50 + more}.00"}},
    }
    return {"state": "Succeeded", "scores": {task: scores[task] for task in stage.tasks}}


def samples(languages: LanguageScores, cache: Cache) -> dict[tuple[str, ...], float]:
    *_, found = languages.family(cache.list(Resource.EXPERIMENT))
    return dict(found)


def test_a_cells_language_has_the_mean_over_seeds_of_its_main_score() -> None:
    cache = Cache()
    plan_in(cache, "sizes", scored, **GRID)
    found = samples(LanguageScores(cache), cache)
    here = (NAMESPACE, "sizes", "sizes")
    assert found == {
        (*here, intermediate, target, language): value
        for intermediate in ("none", "qqp")
        for target, language, value in (("xnli", "en", 65), ("xnli", "de", 45), ("xquad", "en", 60))
    }


def test_a_stage_without_a_score_says_nothing_of_its_seed() -> None:
    cache = Cache()

    def only_seed_1(stage: FrozenStage) -> dict[str, Any]:
        return {"state": "Active"} if stage.title.endswith("seed 2") else scored(stage)

    plan_in(cache, "sizes", only_seed_1, **GRID)
    found = samples(LanguageScores(cache), cache)
    assert found[NAMESPACE, "sizes", "sizes", "none", "xnli", "en"] == 60


def test_a_scrape_reads_a_plan_again_only_where_a_score_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, asked = Cache(), []
    plan_in(cache, "sizes", scored, **GRID)
    read = cache.plan_of
    monkeypatch.setattr(cache, "plan_of", lambda *name: (asked.append(name), read(*name))[1])
    languages = LanguageScores(cache)
    first = samples(languages, cache)
    assert samples(languages, cache) == first
    assert len(asked) == 1

    def better(stage: FrozenStage) -> dict[str, Any]:
        status = scored(stage)
        if "scores" in status:
            status["scores"] = {task: {"accuracy": {"en": "99.00"}} for task in status["scores"]}
        return status

    plan_in(cache, "sizes", better, version=2, **GRID)
    assert set(samples(languages, cache).values()) == {99}
    assert len(asked) == 2


def test_a_plan_that_cannot_be_read_leaves_its_experiment_out() -> None:
    cache = Cache()
    plan_in(cache, "sizes", scored, **GRID)
    plan_in(cache, "other", scored, **GRID)
    (broken,) = [
        one for one in cache.list(Resource.CONFIG_MAP) if one["metadata"]["name"].startswith("sizes-")
    ]
    body = {**broken, "metadata": {**broken["metadata"], "resourceVersion": "2"}, "binaryData": {}}
    cache.upsert(Resource.CONFIG_MAP, body)
    assert {experiment for _, experiment, *_ in samples(LanguageScores(cache), cache)} == {"other"}
