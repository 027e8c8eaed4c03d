"""The peer: MNLI -> XNLI as a plain transformers loop, for the project's own numbers to be held against.

A mean-pooled encoder and one linear layer; batches of 32 in random order, or grouped by length as transformers' Trainer
can, padded to the longest of each batch; AdamW at 5e-5 with linear warm-up over 10 % of the steps, two epochs; then
accuracy on XNLI's test items in 15 languages. It knows nothing of xstilts.

    .venv/bin/python bench/peer_xnli.py --model MODEL_DIR --data DATA_DIR --seed 1

MODEL_DIR is a transformers checkpoint, DATA_DIR holds mnli/train.en.jsonl and xnli/test.<language>.jsonl. Prints one
JSON object: seconds of the training, and accuracy in percent a language.
"""

from __future__ import annotations

import sys

# Python has put this folder first, where operator.py would be taken for the standard library's.
sys.path[:] = [folder for folder in sys.path if folder != __file__.rpartition("/")[0]]

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, get_linear_schedule_with_warmup
from transformers.trainer_pt_utils import LengthGroupedSampler

LABELS = 3


class Classifier(torch.nn.Module):
    """An encoder, mean pooling over the attention mask, dropout, one linear layer."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False)
        config = self.encoder.config
        self.dropout = torch.nn.Dropout(config.hidden_dropout_prob)
        self.linear = torch.nn.Linear(config.hidden_size, LABELS)
        torch.nn.init.normal_(self.linear.weight, std=config.initializer_range)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, batch: Any) -> torch.Tensor:
        """Token ids and mask [B, T] -> logits [B, 3]."""
        hidden = self.encoder(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        return self.linear(self.dropout((hidden * mask).sum(1) / mask.sum(1)))


def rows(file: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()][:limit]


def encode(tokenizer: Any, examples: list[dict[str, Any]], length: int) -> Any:
    """A padded batch of premise and hypothesis pairs."""
    premises = [example["premise"] for example in examples]
    hypotheses = [example["hypothesis"] for example in examples]
    return tokenizer(
        premises, hypotheses, truncation=True, max_length=length, padding=True, return_tensors="pt"
    )


def parameter_groups(model: Classifier, decay: float) -> list[dict[str, Any]]:
    """Weight decay for all but biases and LayerNorm."""
    named = list(model.named_parameters())
    plain = [p for name, p in named if name.endswith(".bias") or "LayerNorm" in name]
    decayed = [p for name, p in named if not (name.endswith(".bias") or "LayerNorm" in name)]
    return [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]


def train(model: Classifier, tokenizer: Any, examples: list[dict[str, Any]], options: Any) -> None:
    """The plain loop."""
    steps = options.epochs * -(-len(examples) // options.batch)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=options.lr, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, round(0.1 * steps), steps)
    order = random.Random(options.seed)  # noqa: S311 - a shuffle, no secret
    lengths = [len(example["premise"]) + len(example["hypothesis"]) for example in examples]
    grouped = LengthGroupedSampler(
        options.batch, lengths=lengths, generator=torch.Generator().manual_seed(options.seed)
    )
    unordered = list(examples)
    model.train()
    for _ in range(options.epochs):
        if options.group_by_length:
            examples = [unordered[place] for place in grouped]
        else:
            order.shuffle(examples)
        for start in range(0, len(examples), options.batch):
            batch = examples[start : start + options.batch]
            labels = torch.tensor([example["label"] for example in batch])
            loss = torch.nn.functional.cross_entropy(model(encode(tokenizer, batch, options.length)), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


@torch.inference_mode()
def accuracy(model: Classifier, tokenizer: Any, examples: list[dict[str, Any]], length: int) -> float:
    """Percent of the examples whose label is the most likely one."""
    model.eval()
    right = 0
    examples = sorted(examples, key=lambda example: len(example["premise"]) + len(example["hypothesis"]))
    for start in range(0, len(examples), 64):
        batch = examples[start : start + 64]
        predicted = model(encode(tokenizer, batch, length)).argmax(-1).tolist()
        right += sum(p == example["label"] for p, example in zip(predicted, batch, strict=True))
    return 100 * right / len(examples)


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--group-by-length", action="store_true", help="less padding: half the time")
    parser.add_argument("--limit", type=int, help="so many rows of each file, for a quick look")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = Classifier(options.model)
    began = time.monotonic()
    train(model, tokenizer, rows(options.data / "mnli" / "train.en.jsonl", options.limit), options)
    seconds = time.monotonic() - began
    languages = {
        file.name.split(".")[1]: accuracy(model, tokenizer, rows(file, options.limit), options.length)
        for file in sorted((options.data / "xnli").glob("test.*.jsonl"))
    }
    print(json.dumps({"seed": options.seed, "train_seconds": round(seconds), "accuracy": languages}))


if __name__ == "__main__":
    main()
