"""A stage: one node of an experiment's graph, as the trainer, the store and the operator know it.

The contract between the plan (which writes stages) and whatever runs them. A stage's key is the SHA-256 of its
kind, parents and spec; everything that decides the output stands there, and nothing else does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import Field

from xstilts.canonical import canonical_json, digest
from xstilts.model import Model
from xstilts.task import Task

STAGE_SCHEMA: Final = "xstilts.dev/stage/v1"
RESULT_SCHEMA: Final = "xstilts.dev/result/v1"
RESULT_LIMIT = 4096  # bytes: a pod's termination message holds no more


class Kind(StrEnum):
    """What a stage does."""

    PREPARE = "prepare"  # CPU: fetch and pin a model or a data set from the hub
    TRAIN = "train"  # intermediate and target fine-tuning alike
    EVALUATE = "evaluate"  # all tasks that one checkpoint serves, all languages, one process
    REPORT = "report"  # CPU: tables and the page


class Family(StrEnum):
    """Model families: what recipes, pair templates and defaults hang on."""

    XLMR = "XLMR"
    MBERT = "MBERT"
    MDEBERTA = "MDeBERTa"
    BERT = "BERT"
    E5 = "E5"
    MT5 = "MT5"


class Form(StrEnum):
    """How a backbone is used."""

    ENCODER_HEAD = "EncoderHead"
    TEXT_TO_TEXT = "TextToText"


class Pooling(StrEnum):
    """How a sequence becomes one vector: part of the key."""

    FIRST = "First"
    MEAN = "Mean"
    TRANSFORMERS = "Transformers"  # transformers' own head, for parity


class HubSource(Model):
    """A hub repository at a commit. `revision` is None only beside `unpinned` in the stage spec."""

    repository: str
    revision: str | None = None


class Slice(Model):
    """Rows of one table of a hub data set: configuration, split, and which rows are kept."""

    repository: str
    revision: str | None = None
    config: str | None = None
    split: str
    language_column: str | None = None  # keep only rows whose column equals `language_value`
    language_value: str | None = None
    id_prefix: str | None = None  # keep only rows whose id begins so (TyDiQA: "english-")
    drop_label: int | None = None  # rows without a gold label (SNLI: -1)
    rename: dict[str, str] = Field(default_factory=dict)  # hub column -> our column
    reference: str | None = None  # without a revision: the branch whose newest commit is read; None is main


class DataFile(Model):
    """One file of a prepared data set: `<split>.<language>.parquet`, the slices concatenated in order."""

    split: str
    language: str
    slices: tuple[Slice, ...]


class PrepareModelSpec(Model):
    """Fetch a model: config, safetensors weights and tokenizer, nothing else."""

    what: Literal["model"] = "model"
    source: HubSource
    family: Family
    unpinned: str | None = None


class PrepareDataSpec(Model):
    """Fetch a data set and write it as the files that `xstilts put` would have put."""

    what: Literal["data"] = "data"
    task: str
    files: tuple[DataFile, ...]
    unpinned: str | None = None


class InputRef(Model):
    """A folder that `xstilts put` has put into the store: `store://NAME@sha256:DIGEST`."""

    name: str
    digest: str

    def __str__(self) -> str:
        return f"store://{self.name}@sha256:{self.digest}"


class ModelUse(Model):
    """How the stage uses the checkpoint of role `model`."""

    family: Family
    form: Form
    pooling: Pooling


class TaskData(Model):
    """A task's rows: `role` names a parent or an input; `split` is the file's split, `<split>.<language>.*`.

    `head` names the head of the checkpoint that answers, where it is not the task's own: XNLI is answered by the
    head that was trained on MNLI. The languages are sorted.
    """

    task: Task
    role: str
    split: str
    languages: tuple[str, ...] = ("en",)
    head: str | None = None


class Holdout(Model):
    """Selection data cut from train, by whole groups, so that dev is not the test."""

    fraction: str  # decimal
    group_by: str  # the field of an example whose equal values stay together: context, text, tokens or pairs


class Selection(Model):
    """On what the best epoch is chosen: another file's English rows, or a part held out of train; never both."""

    data: TaskData | None = None
    holdout: Holdout | None = None


class Mixing(Model):
    """How a multi-task stage samples its tasks."""

    strategy: Literal["Proportional", "Uniform", "Temperature"] = "Proportional"
    examples_cap: int | None = None
    temperature: str | None = None


class Corpus(Model):
    """Unlabelled text in one language: the column `text` of `<split>.<language>.*` in the folder of `role`."""

    role: str
    language: str
    split: str = "train"


class ContinuedPretraining(Model):
    """The pretraining objective, continued beside the tasks: the part `ratio` of all batches is of it.

    Languages are sampled by their sizes (each at most `sentences_cap`) to the power 1/temperature.
    """

    objective: Literal["MLM", "SpanCorruption"]
    ratio: str  # decimal
    corpora: tuple[Corpus, ...]
    sentences_cap: int
    temperature: str  # decimal
    masked: str = "0.15"  # decimal: the part of the tokens that is to be predicted


class Precision(StrEnum):
    """The numbers in which matrix products are computed; weights are fp32 in any case."""

    FP32 = "FP32"
    BF16 = "BF16"


class Hyperparameters(Model):
    """Resolved: nothing is left to a default that could change. Decimals are strings, in canonical spelling."""

    learning_rate: str
    epochs: int
    batch_size: int
    max_length: int
    warmup_ratio: str
    weight_decay: str
    max_examples: int | None = None
    optimizer: Literal["AdamW", "Adafactor"] = "AdamW"
    schedule: Literal["Linear", "Constant"] = "Linear"
    adam_epsilon: str = "1e-8"
    max_grad_norm: str = "1"
    dropout: str | None = None  # None: as the checkpoint's config says
    precision: Precision | None = None  # None: as the device is best at
    doc_stride: int = 128  # span QA
    max_query_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20

    def held_copies(self, *, selects: bool) -> int:
        """How many copies of what is trained a training holds beside weights and gradients: the optimiser's, and the best epoch's.

        AdamW's moments are two. Adafactor keeps a number a row and a column (Shazeer and Stern 2018, arXiv:1804.04235): none.
        """
        moments = 2 if self.optimizer == "AdamW" else 0
        return moments + (selects and self.epochs > 1)


class Lora(Model):
    """Low-rank adapters beside the linear layers of these names, scaled by alpha / rank: all that is trained of the model.

    `target_modules` are sorted; each is the last parts of a layer's name.
    """

    rank: int
    alpha: int
    dropout: str  # decimal: of what the adapters are shown
    target_modules: tuple[str, ...]


class TrainSpec(Model):
    """Fine-tune on one task or a mix. `data` are the English (or translated) rows that are trained on.

    The checkpoint is role `model`. After a sweep there are several, roles `model.<learning rate>`: the stage begins
    from the one whose own stage has the highest English dev score (`EvaluateSpec` likewise); of equals, from the
    one with the smallest learning rate.
    """

    recipe_version: int
    phase: Literal["intermediate", "target"]
    model: ModelUse
    inputs: dict[str, InputRef] = Field(default_factory=dict)
    data: tuple[TaskData, ...]
    mixing: Mixing | None = None
    selection: tuple[Selection, ...] = ()  # one for each of `data`, or none: the last step is kept
    continued_pretraining: ContinuedPretraining | None = None
    hyperparameters: Hyperparameters
    lora: Lora | None = None  # None: all weights are trained
    seed: int


class RetrievalUse(Model):
    """How sentences become vectors: hidden_states[layer] (0 = embeddings; negative from the end), pooled, prefixed.

    `version` grows with what is written of retrieval: since 2 which sentences found their translation.
    """

    version: int = 2
    layer: int
    pooling: Pooling
    prefix: str = ""
    max_length: int = 512


class EvaluateSpec(Model):
    """Predict and score in every language. `retrieval` is set where a task is Retrieval or Mining.

    `probed` names the Retrieval tasks whose sentences are also compared at every layer; None for none, and sorted.
    """

    recipe_version: int
    model: ModelUse
    inputs: dict[str, InputRef] = Field(default_factory=dict)
    data: tuple[TaskData, ...]
    hyperparameters: Hyperparameters | None = None  # lengths, strides of the training; None for retrieval
    retrieval: RetrievalUse | None = None
    probed: tuple[str, ...] | None = None


class ReportSpec(Model):
    """The tables and the page over some evaluations: its parents are those, in roles `evaluate.0` and up.

    `version` grows with what a report holds, so that one of an older version is not taken for it; `rates` is true where
    it also holds what sweeps have chosen. Names stand in no spec: what the page calls its rows comes from the plan's cells.
    """

    version: int = 4
    rates: Literal[True] | None = None  # None: no sweep, and the key of a report that knows of none


class Stage(Model):
    """STAGE.json. Parents map a role (`model`, `data.<task>`) to the key of the stage that makes it."""

    schema_: Literal["xstilts.dev/stage/v1"] = Field(default=STAGE_SCHEMA, alias="schema")
    key: str
    kind: Kind
    parents: dict[str, str] = Field(default_factory=dict)
    spec: dict[str, Any]

    @classmethod
    def of(cls, kind: Kind, spec: Model, parents: dict[str, str] | None = None) -> Stage:
        """Make a stage and its key.

        Raises:
            TypeError: the spec holds a float.
        """
        plain = spec.model_dump(mode="json", exclude_none=True)
        parents = parents or {}
        return cls(key=stage_key(kind, parents, plain), kind=kind, parents=parents, spec=plain)

    def to_json(self) -> bytes:
        """Canonical JSON, as it travels to the trainer."""
        return canonical_json(self.model_dump(mode="json"))


def stage_key(kind: Kind, parents: dict[str, str], spec: dict[str, Any]) -> str:
    """The content hash of a stage: equal keys are one stage.

    Of an input its digest counts, not the name under which it was put.
    """
    if "inputs" in spec:
        spec = {**spec, "inputs": {role: reference["digest"] for role, reference in spec["inputs"].items()}}
    return digest({"schema": STAGE_SCHEMA, "kind": kind.value, "parents": parents, "spec": spec})


class StageFailure(Model):
    """Why a stage ended without an output; `field` is a spec path or a file and row.

    `parent` is the key of the stage whose output is missing or was damaged: this one can only end well once that one
    has run again.
    """

    field: str = ""
    message: str
    parent: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


class Result(Model):
    """What a stage writes to $XSTILTS_RESULT when it ends: at most 4,096 bytes.

    `scores` is task -> metric -> language -> decimal in percent.
    """

    schema_: Literal["xstilts.dev/result/v1"] = Field(default=RESULT_SCHEMA, alias="schema")
    key: str
    outputs_digest: str | None = None
    scores: dict[str, dict[str, dict[str, str]]] = Field(default_factory=dict)
    error: StageFailure | None = None
