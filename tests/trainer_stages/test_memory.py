"""A device whose memory does not suffice: what to set is said, by any process, and nothing is tried again."""

from __future__ import annotations

import sys

import pytest
import torch

from xstilts.errors import EXIT_INVALID, SpecError
from xstilts.stage import RetrievalUse
from xstilts.task import TaskType
from xstilts_trainer.evaluation import alignment
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.text_to_text import TextToText

from .test_ranks import result, start
from .test_text_to_text import TextBench, tiny_mt5  # noqa: F401 - a fixture

TOLD = "CUDA out of memory. Tried to allocate 2.00 GiB."
REMEDY = "lower batchSize or maxLength by an override of spec.training, or use a GPU that has more"


def out_of_memory(*_arguments, **_others):
    raise torch.OutOfMemoryError(TOLD)


def sentence(error) -> str:
    (problem,) = error.value.problems
    assert error.value.exit_code == EXIT_INVALID
    return str(problem)


def test_a_step_that_does_not_fit_says_what_to_set(bench, monkeypatch):
    loss, steps = EncoderModel.loss, []

    def third_fails(*arguments):
        steps.append(arguments)
        return out_of_memory() if len(steps) == 3 else loss(*arguments)

    monkeypatch.setattr(EncoderModel, "loss", third_fails)
    with pytest.raises(SpecError) as error:
        bench.run(bench.train_stage(TaskType.CLASSIFICATION))
    assert sentence(error) == (
        f"step 3, task colours: batches of 8 must fit into the GPU's memory, and do not: {REMEDY} ({TOLD})"
    )


def test_a_dev_set_that_does_not_fit_does_too(bench, monkeypatch):
    logits = EncoderModel.logits

    def evaluation_fails(model, *arguments):
        return logits(model, *arguments) if model.training else out_of_memory()

    monkeypatch.setattr(EncoderModel, "logits", evaluation_fails)
    with pytest.raises(SpecError) as error:
        bench.run(bench.train_stage(TaskType.CLASSIFICATION))
    assert sentence(error).startswith("task colours: batches of 8 must fit")


def test_so_does_a_model_that_answers_in_text(tmp_path, tiny_mt5, monkeypatch):  # noqa: F811 - the fixture
    texts = TextBench(tmp_path, tiny_mt5)
    monkeypatch.setattr(TextToText, "score", out_of_memory)
    with pytest.raises(SpecError) as error:
        texts.run(texts.train_stage(TaskType.CLASSIFICATION))
    assert sentence(error).startswith("task colours: batches of 16 must fit")


@pytest.mark.parametrize(
    ("probed", "place"), [(None, "task pairs"), (("pairs",), "layers, task pairs")], ids=["vectors", "layers"]
)
def test_so_does_an_encoder_that_retrieves(bench, monkeypatch, probed, place):
    stage = bench.evaluate_stage(
        TaskType.RETRIEVAL,
        languages=("de",),
        retrieval=RetrievalUse(layer=0, pooling="Mean"),
        probed=probed,
    )
    if probed:
        monkeypatch.setattr(alignment, "hidden_states", out_of_memory)
    else:
        monkeypatch.setattr("xstilts_trainer.retrieval.embeddings.hidden_state", out_of_memory)
    with pytest.raises(SpecError) as error:
        bench.run(stage)
    assert sentence(error) == (
        f"{place}: batches of 64 must fit into the GPU's memory, and do not: use a GPU that has more ({TOLD})"
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rank", [0, 1])
def test_one_process_of_two_is_enough(bench, tmp_path, rank):
    (tmp_path / "sitecustomize.py").write_text(
        f"""
import os
if os.environ.get("XSTILTS_RANK") == "{rank}":
    import torch
    from xstilts_trainer.models.encoder_model import EncoderModel
    def fail(*_arguments):
        raise torch.OutOfMemoryError({TOLD!r})
    EncoderModel.loss = fail
"""
    )
    stage = bench.train_stage(TaskType.CLASSIFICATION)
    paths = ":".join([str(tmp_path), *filter(None, sys.path)])
    assert start(bench, stage, XSTILTS_RANKS_PER_NODE="2", PYTHONPATH=paths).wait() == EXIT_INVALID
    error = result(bench).error
    assert error.field == "step 1, task colours"
    assert error.message.startswith("batches of 4 must fit into the GPU's memory")
