"""What a stage has to compute: operations, steps and bytes, from its spec, its model's size and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

from xstilts.catalogue.sizes import Size
from xstilts.estimate import flops
from xstilts.estimate.facts import Rows, Sources
from xstilts.stage import (
    ContinuedPretraining,
    EvaluateSpec,
    Form,
    Hyperparameters,
    Lora,
    Mixing,
    ModelUse,
    RetrievalUse,
    Stage,
    TaskData,
    TrainSpec,
)
from xstilts.task import TaskType

_ATTENTION = frozenset({"query", "key", "value", "query_proj", "key_proj", "value_proj", "q", "k", "v", "o"})
RETRIEVAL_BATCH = 64  # sentences a batch, in xstilts_trainer.retrieval.embeddings
# Pieces of an answer in text, its end included: this project's guesses. Tags are answered word by word.
_ANSWERS: Mapping[TaskType, float] = {
    TaskType.CLASSIFICATION: 2,
    TaskType.MULTIPLE_CHOICE: 2,
    TaskType.SPAN_QA: 6,
}
_TEXT_FIELDS = 8  # pieces that stand before the texts of an example in a text format
# Bytes that the optimiser moves a parameter and step: AdamW reads weight, gradient and two moments and writes three of
# them, beside the gradient that was cleared and clipped; Adafactor squares, factors and divides in several passes.
_TRAFFIC = {"AdamW": 36, "Adafactor": 72}


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes:
        training: FLOPs of forward and backward passes.
        inference: FLOPs of forward passes alone.
        steps: of the optimiser.
        batches: forward passes alone, each piece of a generated answer one more.
        traffic: bytes that the optimiser moves.
        spread: the factor by which the FLOPs may be fewer or more.
    """

    training: float = 0
    inference: float = 0
    steps: int = 0
    batches: float = 0
    traffic: float = 0
    spread: float = 1

    def __add__(self, other: Work) -> Work:
        return Work(
            self.training + other.training,
            self.inference + other.inference,
            self.steps + other.steps,
            self.batches + other.batches,
            self.traffic + other.traffic,
            max(self.spread, other.spread),
        )


@dataclass(frozen=True)
class Reading:
    """How a model of some size and form reads one row of a task under a recipe."""

    size: Size
    text: bool
    task: TaskData
    rows: Rows
    recipe: Hyperparameters

    @property
    def features(self) -> float:
        """How many items of a batch the rows become."""
        return self.rows.rows * self._windows

    @property
    def pieces(self) -> float:
        """The mean pieces of a sequence, cut to the recipe's length."""
        whole = self.rows.pieces if self.rows.joined is None or not self.text else self.rows.joined
        return max(1.0, min(whole + (_TEXT_FIELDS if self.text else 0), self.recipe.max_length))

    @property
    def sequences(self) -> int:
        """Sequences a feature: the choices, but as one text."""
        return 1 if self.text else self.rows.choices

    @property
    def answer(self) -> float:
        """Pieces of an answer in text."""
        return _ANSWERS.get(self.task.task.type, self.pieces)

    @property
    def forward(self) -> float:
        """FLOPs of a feature, with the answer that it has."""
        return self._forward(self.answer)

    @property
    def inference(self) -> float:
        """FLOPs of predicting a feature; labels and choices are each scored as a whole answer."""
        if not self.text or self._asked == 1:
            return self._forward(self.answer)
        again = flops.decode(self.size, self.pieces, self.answer)
        return self._forward(self.answer) + (self._asked - 1) * again

    @property
    def passes(self) -> float:
        """Forward passes a batch: a generated answer is said piece by piece."""
        if not self.text:
            return 1
        return 1 + (self._asked if self._asked > 1 else self.answer)

    @property
    def _asked(self) -> int:
        if self.task.task.type is TaskType.CLASSIFICATION:
            return max(1, len(self.task.task.labels))
        return self.rows.choices

    @property
    def _windows(self) -> float:
        """More where the recipe's windows are shorter than those that were counted."""
        if self.task.task.type is not TaskType.SPAN_QA:
            return self.rows.windows
        beyond = max(0.0, self.rows.pieces - self.recipe.max_length)
        return self.rows.windows + beyond / self.recipe.doc_stride

    def _forward(self, answer: float) -> float:
        one = flops.encode(self.size, self.pieces)
        if self.text:
            one += flops.decode(self.size, self.pieces, answer)
        return self.sequences * one


def training_work(stage: Stage, sources: Sources, *, on_cpu: bool) -> Work:
    """The work of a train stage.

    Raises:
        UnknownError: something is not known of its model or its rows.
    """
    spec = TrainSpec.model_validate(stage.spec)
    recipe, size = spec.hyperparameters, sources.size(stage)
    reads = partial(Reading, size, spec.model.form is Form.TEXT_TO_TEXT)
    train: list[Reading] = []
    dev = Work()
    for index, data in enumerate(spec.data):
        rows = sources.rows(stage, data, "train")
        chosen = spec.selection[index] if spec.selection else None
        if chosen is not None and chosen.data is not None:
            scored = sources.rows(stage, chosen.data, "dev")
        else:
            held_out = float(chosen.holdout.fraction) if chosen is not None and chosen.holdout else 0.0
            rows, scored = rows.times(1 - held_out), rows.times(held_out)
        if recipe.max_examples is not None and rows.rows > recipe.max_examples:
            rows = rows.times(recipe.max_examples / rows.rows)
        train.append(reads(data, rows, recipe))
        dev += _forward_work(reads(data, scored, recipe), recipe.batch_size)
    steps = sum(ceil(_capped(one.features, spec.mixing) / recipe.batch_size) for one in train)
    shares = task_shares([one.features for one in train], spec.mixing)
    examples = steps * recipe.batch_size if len(train) > 1 else train[0].features
    both = 1 + (flops.BACKWARD if spec.lora is None else flops.BACKWARD_FROZEN)
    a_pass = both * sum(examples * share * one.forward for share, one in zip(shares, train, strict=True))
    if spec.continued_pretraining is not None:
        text, more = _text(spec.continued_pretraining, size, recipe, steps)
        a_pass, steps = a_pass + both * text, steps + more
    every = Work(
        training=a_pass,
        inference=dev.inference,
        steps=steps,
        batches=dev.batches,
        traffic=steps * _TRAFFIC[recipe.optimizer] * trained_parameters(spec, size, on_cpu=on_cpu),
        spread=max(one.rows.spread for one in train),
    )
    return Work(
        every.training * recipe.epochs,
        every.inference * recipe.epochs,
        every.steps * recipe.epochs,
        every.batches * recipe.epochs,
        every.traffic * recipe.epochs,
        every.spread,
    )


def evaluation_work(stage: Stage, sources: Sources) -> dict[str, Work]:
    """The work of an evaluate stage by task.

    Raises:
        UnknownError: something is not known of its model or its rows.
    """
    spec = EvaluateSpec.model_validate(stage.spec)
    size = sources.size(stage)
    work = {}
    for data in spec.data:
        rows = sources.rows(stage, data, "test")
        if data.task.type in {TaskType.RETRIEVAL, TaskType.MINING}:
            work[data.task.name] = _retrieval_work(size, rows, spec.retrieval)
            if data.task.name in (spec.probed or ()):
                work[data.task.name] += _sentences_work(size, rows, spec.retrieval, size.layers)
        else:
            recipe = spec.hyperparameters
            if recipe is None:
                raise ValueError(f"{stage.key}: an evaluation by heads without hyperparameters")
            reading = Reading(size, _is_text(spec.model), data, rows, recipe)
            work[data.task.name] = _forward_work(reading, recipe.batch_size)
    return work


def trained_parameters(spec: TrainSpec, size: Size, *, on_cpu: bool) -> float:
    """The parameters that the optimiser moves.

    On a CPU AdamW is spared the rows of the embedding table that the data do not touch: nine of ten
    (`xstilts_trainer.training.embedding_rows`).
    """
    if spec.lora is not None:
        return adapter_parameters(spec.lora, size, text=_is_text(spec.model))
    if _is_text(spec.model):
        return size.parameters
    if on_cpu and spec.hyperparameters.optimizer == "AdamW" and spec.continued_pretraining is None:
        return size.encoder_parameters - 0.9 * size.vocabulary * size.hidden
    return size.encoder_parameters


def adapter_parameters(lora: Lora, size: Size, *, text: bool) -> float:
    """The parameters of low-rank adapters: two matrices beside each layer, as wide as its input and its output.

    A name that is none of attention's is taken for the feed-forward layer's.
    """
    number = 0.0
    for module in lora.target_modules:
        if module.rpartition(".")[2] in _ATTENTION:
            layers = size.layers + (2 * size.decoder_layers if text else 0)  # a decoder attends twice
            number += layers * lora.rank * (size.hidden + size.attention)
        else:
            layers = size.layers + (size.decoder_layers if text else 0)
            number += layers * lora.rank * (size.hidden + size.feed_forward)
    return number


def task_shares(features: Sequence[float], mixing: Mixing | None) -> list[float]:
    """How often a step draws each task: `xstilts_trainer.data.mixing.task_probabilities`."""
    exponent = 1.0
    if mixing is not None and mixing.strategy == "Uniform":
        exponent = 0.0
    elif mixing is not None and mixing.strategy == "Temperature":
        exponent = 1 / float(mixing.temperature or 1)
    weights = [_capped(one, mixing) ** exponent for one in features]
    return [weight / max(sum(weights), 1e-9) for weight in weights]


def _capped(features: float, mixing: Mixing | None) -> float:
    cap = mixing.examples_cap if mixing is not None else None
    return min(features, cap or features)


def _is_text(use: ModelUse) -> bool:
    return use.form is Form.TEXT_TO_TEXT


def _forward_work(reading: Reading, batch_size: int) -> Work:
    batches = ceil(reading.features / batch_size) * reading.passes
    return Work(inference=reading.features * reading.inference, batches=batches, spread=reading.rows.spread)


def _retrieval_work(size: Size, rows: Rows, use: RetrievalUse | None) -> Work:
    """Sentences through the layers up to the one that is pooled, no further."""
    layer = use.layer % (size.layers + 1) if use is not None else 0
    return _sentences_work(size, rows, use, layer)


def _sentences_work(size: Size, rows: Rows, use: RetrievalUse | None, layers: int) -> Work:
    if use is None:
        raise ValueError("an evaluation by vectors without a layer")
    one = flops.encode(size, min(max(1.0, rows.pieces), use.max_length)) * layers / size.layers
    return Work(inference=rows.rows * one, batches=ceil(rows.rows / RETRIEVAL_BATCH), spread=rows.spread)


def _text(
    pretraining: ContinuedPretraining, size: Size, recipe: Hyperparameters, steps: int
) -> tuple[float, int]:
    """Forward FLOPs and steps of an epoch's batches of text; an article of Wikipedia fills the length, and more."""
    ratio = float(pretraining.ratio)
    more = ceil(steps / (1 - ratio)) - steps
    length = float(recipe.max_length)
    if pretraining.objective == "MLM":
        one = flops.masked_language_model(size, length)
    else:
        cut = float(pretraining.masked)
        one = flops.encode(size, (1 - cut) * length) + flops.decode(
            size, (1 - cut) * length, 1.3 * cut * length
        )
    return one * recipe.batch_size * more, more
