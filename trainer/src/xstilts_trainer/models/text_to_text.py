"""A sequence-to-sequence model that answers every task in text, and the folder that holds it.

All its weights are trained and carried over between phases, decoder and language-model head too: the folder `encoder/`
holds the whole checkpoint, in transformers' form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    MT5ForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from xstilts.errors import Problem, SpecError
from xstilts.stage import Family
from xstilts.task import Task
from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.data.places import labelled
from xstilts_trainer.models.folders import (
    MODEL_TYPES,
    check_names,
    check_weights,
    encoder_folder,
    load_tokenizer,
    load_weights,
    problem,
    read_config,
    save_checkpoint_folder,
)
from xstilts_trainer.models.task_model import Batch, TaskModel
from xstilts_trainer.precision import in_fp32

SEQ2SEQ: Final[Mapping[str, Any]] = {"mt5": MT5ForConditionalGeneration}
TASKS: Final = "tasks.json"
_TASKS = TypeAdapter(tuple[Task, ...])


@dataclass(frozen=True)
class Source:
    """What the encoder says of a batch: `hidden` [B, T, H] and `mask` [B, T]."""

    hidden: Tensor
    mask: Tensor


class TextToText(TaskModel):
    """An encoder, a decoder and a language-model head, shared by all tasks; `tasks` are those it was trained on."""

    def __init__(self, seq2seq: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.seq2seq: Any = seq2seq  # some of its methods carry no types
        self.tokenizer = tokenizer
        self.tasks: Mapping[str, Task] = {}

    @property
    def config(self) -> PreTrainedConfig:
        """The checkpoint's config."""
        config: PreTrainedConfig = self.seq2seq.config
        return config

    def loss(self, task: str, batch: Batch) -> Tensor:  # noqa: ARG002 - the text says which task it is
        """The mean cross-entropy over the pieces of all answers.

        As MT5ForConditionalGeneration, but logits are made of labelled places alone. 0 for a batch without any.
        """
        labels, places = batch["labels"], labelled(batch)
        hidden = self.decode(self.encode(batch), self._shifted(labels))
        logits = self.logits(hidden.flatten(0, 1)[places])
        return cross_entropy(logits, labels.flatten()[places], reduction="sum") / max(len(places), 1)

    def encode(self, batch: Batch) -> Source:
        """Run the encoder on `input_ids` and `attention_mask` [B, T]."""
        outputs = self.seq2seq.get_encoder()(
            input_ids=batch["input_ids"], attention_mask=_shown(batch["attention_mask"])
        )
        return Source(outputs.last_hidden_state, batch["attention_mask"])

    def decode(self, source: Source, pieces: Tensor) -> Tensor:
        """The decoder's vectors [B, A, H] for the pieces [B, A] that it is shown."""
        hidden, _ = self.continue_decoding(source, pieces, None, use_cache=False)
        return hidden

    def continue_decoding(
        self, source: Source, pieces: Tensor, cache: Any, *, use_cache: bool = True
    ) -> tuple[Tensor, Any]:
        """The decoder's vectors [B, A, H] for pieces [B, A] that follow those in the cache, and the new cache."""
        outputs = self.seq2seq.get_decoder()(
            input_ids=pieces,
            encoder_hidden_states=source.hidden,
            encoder_attention_mask=_shown(source.mask),
            cache=cache,
            use_cache=use_cache,
        )
        return outputs.last_hidden_state, outputs.cache

    def logits(self, hidden: Tensor) -> Tensor:
        """[…, H] -> […, V]; of a model in evaluation mode they are computed in fp32."""
        head = self.seq2seq.get_output_embeddings()
        if self.training:  # the largest product of a step, and a loss is a mean over many of them
            return cast("Tensor", head(hidden)).float()
        with in_fp32():  # rounded logits would tie
            return cast("Tensor", head(hidden.float()))

    def score(self, batch: Batch, targets: Sequence[Tensor]) -> Tensor:
        """The log-probability [B, L] of each of L whole answers [A], their ends included."""
        source = self.encode(batch)
        scores = []
        for target in targets:
            labels = target.expand(len(source.mask), -1)
            log_probabilities = self.logits(self.decode(source, self._shifted(labels))).log_softmax(-1)
            scores.append(log_probabilities.gather(-1, labels.unsqueeze(-1)).squeeze(-1).sum(-1))
        return torch.stack(scores, dim=-1)

    def start(self, rows: int, device: torch.device) -> Tensor:
        """The pieces [rows, 1] with which answers begin."""
        return torch.full((rows, 1), self.config.decoder_start_token_id, device=device)

    def _shifted(self, labels: Tensor) -> Tensor:
        """What the decoder is shown while it is to say the labels: the start, and all but the last of them."""
        shown = labels[:, :-1].masked_fill(labels[:, :-1] == UNLABELLED, self.config.pad_token_id)
        return torch.cat([self.start(len(labels), labels.device), shown], dim=1)

    def save(self, folder: Path) -> None:
        """Write `encoder/`, the whole transformers checkpoint, and `tasks.json`."""
        embeddings, head = self.seq2seq.get_input_embeddings(), self.seq2seq.get_output_embeddings()
        # transformers claims that mT5's head is the embedding table, whatever the weights say
        self.config.tie_word_embeddings = head.weight is embeddings.weight
        save_checkpoint_folder(self.seq2seq, self.tokenizer, encoder_folder(folder, new=True))
        ordered = tuple(self.tasks[name] for name in sorted(self.tasks))
        (folder / TASKS).write_bytes(_TASKS.dump_json(ordered, indent=2) + b"\n")

    @classmethod
    def load_pretrained(cls, folder: Path, family: Family) -> TextToText:
        """Read a checkpoint, as a model that is to be trained.

        Raises:
            DataError: the folder holds no such checkpoint, or a damaged one.
            SpecError: a family without a decoder.
        """
        if not set(MODEL_TYPES[family]) & set(SEQ2SEQ):
            raise SpecError(
                Problem(
                    "spec.model.form",
                    f"must be EncoderHead for the family {family}, which has no decoder, was TextToText",
                )
            )
        config = read_config(folder, family, SEQ2SEQ)
        check_weights(folder)
        loaded = load_weights(folder, SEQ2SEQ[config.model_type], config)
        check_names(
            folder,
            "model",
            missing=loaded.missing,
            unexpected=loaded.unexpected,
            mismatched=loaded.mismatched,
        )
        return cls(loaded.model, load_tokenizer(folder, config))

    @classmethod
    def load(cls, folder: Path, family: Family) -> TextToText:
        """Read what `save` wrote; errors as `load_pretrained`, and a DataError where `tasks.json` is none."""
        tasks = {task.name: task for task in _read_tasks(folder / TASKS)}
        model = cls.load_pretrained(encoder_folder(folder), family)
        model.tasks = tasks
        return model


def _shown(mask: Tensor) -> Tensor:
    """A mask [B, T] as transformers is to take it: of one on a GPU it would ask whether it hides anything, and wait."""
    return _spread(mask) if mask.is_cuda else mask


def _spread(mask: Tensor) -> Tensor:
    """The same for every head and place that looks [B, 1, 1, T], of which nothing is asked."""
    return mask[:, None, None].bool()


def _read_tasks(path: Path) -> tuple[Task, ...]:
    try:
        return _TASKS.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise problem(path, "must be there: a trained model lists its tasks") from None
    except ValidationError as error:
        raise problem(path, f"must list tasks: {error}") from error
