"""The probe of all layers in a plan: an option of a retrieval target's evaluations, and of no other stage."""

from __future__ import annotations

from xstilts.plan import Cell, plan


def targets(*, probed: bool):
    return [{"task": "xnli"}, {"task": "tatoeba", "probeLayers": probed}, {"task": "bucc2018"}]


def test_the_evaluations_of_a_probed_target_say_so_and_no_other_stage_changes(make):
    plain, probed = (plan(make(targets=targets(probed=yes))) for yes in (False, True))
    changed = {one.key for one in probed.stages} - {one.key for one in plain.stages}
    assert {probed.by_key[key].group for key in changed} == {"evaluate", "report"}
    for cell, key in probed.evaluations.items():
        spec = probed.by_key[key].stage.spec
        assert spec.get("probed") == (
            None if cell.target == "xnli" else ["tatoeba"]
        )  # BUCC's is the same stage
        assert (key in changed) == (cell.target != "xnli")


def test_what_is_not_probed_has_the_keys_of_before(make):
    said = plan(make(targets=targets(probed=False)))
    silent = plan(make(targets=[{"task": one["task"]} for one in targets(probed=False)]))
    assert dict(said.evaluations) == dict(silent.evaluations)
    key = silent.evaluate_key(Cell("small", "none", "tatoeba", 1))
    assert "probed" not in silent.by_key[key].stage.spec
