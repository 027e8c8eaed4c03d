"""How many bytes a stage leaves in the store, by `spec.store.keep`: models for the most part."""

from __future__ import annotations

from xstilts.catalogue import CATALOGUE
from xstilts.catalogue.models import MODELS
from xstilts.estimate.facts import Sources, UnknownError
from xstilts.estimate.work import trained_parameters
from xstilts.stage import EvaluateSpec, Form, Kind, Stage, TrainSpec
from xstilts.store.keeping import GIVEN_UP, Keep

CHECKPOINTS = 3  # of a training are there at most: two are kept until the next one is whole
_FP32 = 4  # bytes of a stored weight
_PIECE = 4  # bytes of a piece's text, as it is stored
_ANSWER = 40  # bytes of a prediction, with whether it was right
_TOKENIZER = 17e6  # bytes of tokenizer.json with 250,000 pieces


def stored_bytes(stage: Stage, sources: Sources, keep: Keep = "All") -> float:
    """The bytes of a stage's artifact in the end: while something needs its weights they are there too.

    Raises:
        UnknownError: the size of its model or its rows is not known.
    """
    match stage.kind:
        case Kind.PREPARE:
            return _prepared(stage)
        case Kind.TRAIN:
            spec = TrainSpec.model_validate(stage.spec)
            weights = 0 if spec.phase in GIVEN_UP[keep] else model_parameters(stage, spec, sources)
            return _TOKENIZER + _FP32 * weights
        case Kind.EVALUATE:
            evaluated = EvaluateSpec.model_validate(stage.spec)
            return sum(_ANSWER * sources.rows(stage, data, "test").rows for data in evaluated.data)
        case Kind.REPORT:
            return 0.0


def model_parameters(stage: Stage, spec: TrainSpec, sources: Sources) -> float:
    """The weights that a training writes: the encoder, or everything in a model that answers in text."""
    size = sources.size(stage)
    return size.parameters if spec.model.form is Form.TEXT_TO_TEXT else size.encoder_parameters


def checkpoint_bytes(stage: Stage, sources: Sources) -> float:
    """What a training that lasts keeps beside the store's artifacts: its last checkpoints, until it ends.

    Each has the weights that are trained, and what is held beside them.
    """
    spec = TrainSpec.model_validate(stage.spec)
    copies = 1 + spec.hyperparameters.held_copies(selects=bool(spec.selection))
    trained = trained_parameters(spec, sources.size(stage), on_cpu=False)
    return CHECKPOINTS * copies * _FP32 * trained


def _prepared(stage: Stage) -> float:
    """A model as the hub has it, in fp32, or the text of a data set's files."""
    if stage.spec["what"] == "model":
        known = MODELS.get(stage.spec["source"]["repository"])
        if known is None or known.size is None:
            raise UnknownError(f"unknown size of {stage.spec['source']['repository']}")
        return _TOKENIZER + _FP32 * known.size.parameters
    entry = CATALOGUE.get(stage.spec["task"])
    counts = entry.counts if entry else None
    if counts is None:
        raise UnknownError(f"unknown disk of {stage.spec['task']}")
    rows = {
        "train": (counts.train, counts.joined or counts.pieces),
        "validation": (counts.dev or counts.test, counts.joined or counts.pieces or counts.test_pieces),
        "test": (counts.test, counts.test_pieces),
    }
    found = [rows.get(file["split"], (0, 0)) for file in stage.spec["files"]]
    return sum(count * pieces * _PIECE for count, pieces in found)
