"""Every example is an experiment that can run, and is what its comments say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xstilts.canonical import sha256_hex
from xstilts.catalogue import INTERMEDIATES, TARGETS
from xstilts.plan import plan
from xstilts.spec import is_path, load_experiment, parse_experiment, store_input
from xstilts.stage import Kind

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SLICE_FOLDERS = {"pawsx": "paws-x", "udpos": "udpos_xtreme"}  # else called as the task is


def load(name):
    return load_experiment(Path(__file__).parents[2] / "examples" / f"{name}.yaml")


def load_pinned(name):
    """The example as `xstilts pin` would make it: each input of the store with some digest of its own."""
    text = (Path(__file__).parents[2] / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
    pinned = re.sub(
        r"store://[\w.-]+$",
        lambda uri: f"{uri[0]}@sha256:{sha256_hex(uri[0].encode())}",
        text,
        flags=re.MULTILINE,
    )
    return parse_experiment(pinned, name)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_validates_plans_and_explains_itself(path):
    experiment = load_experiment(path)
    assert path.read_text(encoding="utf-8").startswith("#")
    assert experiment.metadata.name == path.stem
    assert not any(is_path(model.pretrained) for model in experiment.spec.models)
    assert plan(experiment).stages


def test_phang2020_is_exactly_the_papers_grid():
    spec = load("phang2020").spec
    assert [model.pretrained for model in spec.models] == ["FacebookAI/xlm-roberta-large"]
    singles = [one.tasks for one in spec.intermediates if len(one.tasks) == 1]
    (mix,) = [one.tasks for one in spec.intermediates if len(one.tasks) > 1]
    assert sorted(name for (name,) in singles) == sorted(mix) == sorted(INTERMEDIATES)
    assert {target.task for target in spec.targets} == set(TARGETS)
    assert spec.baseline
    assert len(spec.seeds) == 5
    assert not any(one.continued_pretraining or one.translated_to for one in spec.intermediates)


def test_the_variants_continue_mlm_and_translate():
    spec = load("phang2020-variants").spec
    assert {one.name for one in spec.intermediates if one.continued_pretraining} >= {"mnli-mlm", "squad-mlm"}
    assert {one.translated_to for one in spec.intermediates if one.translated_to} == {
        ("de",),
        ("ru",),
        ("sw",),
    }


def test_the_two_sizes_of_mt5_are_swept_over_the_same_grid():
    planned = plan(load("mt5-size-xnli"))
    rates = {
        model: {
            one.stage.spec["hyperparameters"]["learningRate"]
            for one in planned.of_kind(Kind.TRAIN)
            if {cell.model for cell in one.labels} == {model}
        }
        for model in ("mt5-base", "mt5-large")
    }
    assert rates["mt5-base"] == rates["mt5-large"]
    assert len(rates["mt5-base"]) == 3


def test_the_cut_for_two_cores_is_a_part_of_the_small_experiment():
    small, cut = plan(load_pinned("xnli-small")), plan(load_pinned("xnli-small-cpu"))
    assert cut.counts["train intermediate"] + cut.counts["train target"] == 6
    trained = {one.key for one in cut.of_kind(Kind.TRAIN)}
    assert trained <= {one.key for one in small.of_kind(Kind.TRAIN)}


def test_the_small_experiment_shares_what_it_can():
    planned = plan(load_pinned("xnli-small"))
    assert dict(planned.counts) == {
        "prepare": 0,
        "train intermediate": 2 * 3 * 2,
        "train target": 2 * 4 * 2 * 6,
        "evaluate": 2 * 4 * 2 * 6 + 2 * 3 * 2 + 2,
        "report": 1,
    }
    assert not any(one.unpinned for one in planned.stages)
    assert all(one.unpinned for one in plan(load("xnli-small")).stages)


@pytest.mark.data
@pytest.mark.parametrize("name", ["xnli-small", "xnli-small-cpu"])
def test_the_slices_hold_every_file_that_the_small_experiments_read(name, data_dir):
    planned = plan(load(name))
    files = {
        (data["role"].removeprefix("data."), data["split"], language)
        for one in planned.stages
        if one.stage.kind is not Kind.REPORT
        for data in [
            *one.stage.spec["data"],
            *(chosen["data"] for chosen in one.stage.spec.get("selection", ()) if "data" in chosen),
        ]
        for language in data["languages"]
    }
    missing = [
        (task, split, language)
        for task, split, language in sorted(files)
        if not (data_dir / SLICE_FOLDERS.get(task, task) / f"{split}.{language}.jsonl").is_file()
    ]
    assert not missing


@pytest.mark.parametrize("name", ["xnli-small", "xnli-small-cpu"])
def test_the_small_experiments_read_the_store_alone(name):
    spec = load(name).spec
    assert all(store_input(model.pretrained, "mark") for model in spec.models)
    assert all(task.data and store_input(task.data, "mark") for task in spec.tasks)
