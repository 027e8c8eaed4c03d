"""Adapters in a plan: part of the trainings' keys, and of nothing else's."""

from __future__ import annotations

from xstilts.plan import Cell, plan
from xstilts.plan.show import to_text
from xstilts.stage import Kind


def with_lora(base, **lora):
    models = base()["models"]
    return [{**models[0], "lora": lora}, models[1]]


def loras(planned):
    return {
        json_like(one.stage.spec.get("lora"))
        for one in planned.of_kind(Kind.TRAIN)
        if any(cell.model == "small" for cell in one.labels)
    }


def json_like(lora):
    return None if lora is None else tuple(sorted((name, str(value)) for name, value in lora.items()))


def test_what_is_left_out_is_resolved_by_family(make, base):
    (found,) = loras(plan(make(models=with_lora(base, rank=8))))
    assert dict(found) == {
        "rank": "8",
        "alpha": "16",
        "dropout": "0",
        "targetModules": "['query', 'value']",
    }
    written = with_lora(base, rank=8, alpha=16, dropout="0.0", targetModules=["value", "query"])
    assert dict(plan(make(models=written)).evaluations) == dict(
        plan(make(models=with_lora(base, rank=8))).evaluations
    )


def test_adapters_change_the_keys_of_their_model_s_trainings_alone(make, base):
    plain, adapted = plan(make()), plan(make(models=with_lora(base, rank=8)))
    for cell, key in plain.evaluations.items():
        untrained = cell.intermediate == "none" and cell.target == "tatoeba"
        assert (adapted.evaluate_key(cell) == key) == (cell.model == "large" or untrained)


def test_a_model_stands_beside_itself_with_adapters(make, base):
    """What adapters cost or gain is asked by naming a model twice; the untrained one is evaluated once."""
    (small, _) = base()["models"]
    planned = plan(make(models=[small, {**small, "name": "adapted", "lora": {"rank": 4}}]))
    keys = [planned.evaluate_key(Cell(name, "none", "tatoeba", 1)) for name in ("small", "adapted")]
    assert keys[0] == keys[1]
    trained = [planned.evaluate_key(Cell(name, "none", "xnli", 1)) for name in ("small", "adapted")]
    assert trained[0] != trained[1]


def test_a_plan_tells_trainings_of_adapters_from_others(make, base):
    lines = to_text(plan(make(models=with_lora(base, rank=8)))).splitlines()
    trained = [line.strip() for line in lines if " lr " in line]
    assert trained
    assert all(("  lora 8" in line) == line.startswith("small") for line in trained)
