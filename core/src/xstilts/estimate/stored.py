"""What a store says of an experiment: which stages are there and how long they took, and how large its inputs are.

Of a model its config.json is read, of a task its JSON lines, CSV or TSV: how many rows, and of the first of them how many
characters. Parquet is not read here, and files of more than 256 MB are not either: such rows are not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from statistics import fmean
from typing import Any

from xstilts.catalogue.sizes import Size
from xstilts.estimate.cost import Found, Took
from xstilts.estimate.facts import COUNTED_SPREAD, Facts, Rows
from xstilts.plan import Plan
from xstilts.plan.rows import CORPORA, rows_of
from xstilts.plan.sources import is_unpinned
from xstilts.stage import InputRef, Kind
from xstilts.store import InputManifest, Manifest, Store
from xstilts.task import TaskType

_SAMPLE = 1000  # rows whose characters are counted
_LARGEST = 256_000_000  # bytes
_SPECIAL = 3  # pieces that are added to a sequence, or a pair
# Characters a piece in XLM-R's vocabulary, on XNLI's premises: 3.3 to 4.2 in 14 languages, 1.5 in Chinese.
_CHARACTERS = 3.8
_CHARACTERS_OF = {"zh": 1.5, "ja": 1.6, "ko": 2.2}
# Columns that are no text of an example.
_NO_TEXT = frozenset(
    {"id", "idx", "uid", "item", "title", "label", "labels", "tags", "ner_tags", "pos_tags", "answers"}
    | {"answerKey", "reason", "langs", "source_lang", "target_lang", "source_id", "target_id"}
)


def read_store(plan: Plan, store: Store) -> Found:
    """What a store has of a plan. Which stages must run is for the caller to say, who knows how they are run.

    Raises:
        StoreError: the store does not answer.
    """
    found = {one.key: there for one in plan.stages if (there := store.record(one.key))}
    return Found(
        cached=frozenset(key for key, there in found.items() if there.whole),
        dropped=frozenset(key for key, there in found.items() if not there.whole),
        facts=read_facts(plan, store),
        took={key: took for key, there in found.items() if (took := took_of(there.manifest))},
    )


def read_facts(plan: Plan, store: Store) -> Facts:
    """The sizes of models and the rows of data that are inputs of the store."""
    sizes: dict[str, Size] = {}
    rows: dict[tuple[str, str, str], Rows] = {}
    manifest = cache(store.input_manifest)
    for ref in _models(plan):
        size = _size(store, ref)
        if size is not None:
            sizes[ref.digest] = size
    for read in rows_of(one.stage for one in plan.stages):
        place = (read.ref.digest, read.split, read.language)
        if read.type is not None and place not in rows:
            whole = manifest(read.ref)
            counted = _rows(store, read.ref, whole, read.split, read.language, read.type) if whole else None
            if counted is not None:
                rows[place] = counted
    return Facts(sizes, rows)


def took_of(manifest: Manifest) -> Took | None:
    """How long a stage took, by its manifest; None where it does not say."""
    seconds, hardware = manifest.environment.get("seconds"), manifest.environment.get("hardware")
    if not isinstance(seconds, int | float) or not isinstance(hardware, dict):
        return None
    gpus, threads = hardware.get("gpus", 0), hardware.get("threads", 1)
    if not isinstance(gpus, int) or not isinstance(threads, int):
        return None
    return Took(float(seconds), gpus, max(1, threads))


def _models(plan: Plan) -> set[InputRef]:
    """The inputs that stages begin from."""
    inputs = [
        planned.stage.spec.get("inputs", {})
        for planned in plan.stages
        if planned.stage.kind in {Kind.TRAIN, Kind.EVALUATE}
    ]
    models = {InputRef(**one["model"]) for one in inputs if "model" in one}
    return {ref for ref in models if not is_unpinned(ref.digest)}


def _size(store: Store, ref: InputRef) -> Size | None:
    try:
        config = json.loads(store.read_input(ref, "config.json"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return Size.of_config(config) if isinstance(config, dict) else None


def _rows(
    store: Store, ref: InputRef, manifest: InputManifest, split: str, language: str, type_: TaskType
) -> Rows | None:
    if type_ is TaskType.MINING:
        both = [_file(store, ref, manifest.files, f"{corpus}.{language}") for corpus in CORPORA]
    else:
        both = [_file(store, ref, manifest.files, f"{split}.{language}")]
    read = [(name, text) for one in both if one is not None for name, text in [one]]
    if len(read) < len(both):
        return None
    counted = [_count(name, text, language, type_) for name, text in read]
    count = sum(one.rows for one in counted)
    first = counted[0]
    pieces = fmean(one.pieces for one in counted)
    return Rows(count, pieces, 1, first.choices, first.joined, COUNTED_SPREAD)


def _file(store: Store, ref: InputRef, files: Mapping[str, Any], stem: str) -> tuple[str, str] | None:
    for suffix in ("jsonl", "csv", "tsv"):
        name = f"{stem}.{suffix}"
        if name in files and files[name].size <= _LARGEST:
            try:
                return name, store.read_input(ref, name).decode("utf-8", errors="replace")
            except FileNotFoundError:
                return None
    return None


def _count(name: str, text: str, language: str, type_: TaskType) -> Rows:
    lines = text.count("\n") + (not text.endswith("\n"))
    each = _CHARACTERS_OF.get(language, _CHARACTERS)
    if not name.endswith(".jsonl"):
        return Rows(lines, len(text) / max(lines, 1) / each + _SPECIAL)
    sampled = [row for line in text.split("\n", _SAMPLE)[:_SAMPLE] if (row := _row(line)) is not None]
    if not sampled:
        return Rows(lines, _SPECIAL)
    shared = fmean(sum(map(len, _texts(row))) for row in sampled) / each
    if type_ is TaskType.MULTIPLE_CHOICE:
        choices = [_choices(row) for row in sampled]
        number = max(1, round(fmean(map(len, choices))))
        one = fmean(sum(map(len, of_row)) for of_row in choices) / number / each
        return Rows(
            lines, shared + one + _SPECIAL + 1, choices=number, joined=shared + number * one + _SPECIAL
        )
    if type_ is TaskType.RETRIEVAL:  # two texts a row, each a sequence
        return Rows(2 * lines, shared / 2 + _SPECIAL - 1)
    return Rows(lines, shared + _SPECIAL)


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _is_choice(column: str) -> bool:
    return column in {"choices", "endings"} or column.startswith("answer")


def _texts(row: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a row, but those of its choices."""
    for column, value in row.items():
        if column not in _NO_TEXT and not _is_choice(column):
            yield from _strings(value)


def _choices(row: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for column, value in row.items():
        if column not in _NO_TEXT and _is_choice(column):
            texts = _strings(value.get("text", ()) if isinstance(value, dict) else value)
            found += [text.rstrip() for text in texts]
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (one + " " for one in value if isinstance(one, str))
