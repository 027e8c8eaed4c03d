"""Prepare: fetch a model or a data set from the hub, pinned, in the form that `xstilts put` would have put."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets

from xstilts.errors import DataError, Problem
from xstilts.stage import DataFile, PrepareDataSpec, PrepareModelSpec, Slice
from xstilts_trainer.hub import download_model, load_slice, resolve_commit


def prepare_model(spec: PrepareModelSpec, folder: Path) -> dict[str, Any]:
    """Write a model's files into `folder`; returns where they came from, for the manifest.

    Raises:
        DataError: there is no such model, or it has no safetensors weights.
        UnavailableError: the hub does not answer.
    """
    commit = resolve_commit(spec.source.repository, spec.source.revision, kind="model")
    for file in download_model(spec.source, commit):
        shutil.copyfile(file, folder / file.name)
    return {"source": {"repository": spec.source.repository, "commit": commit}}


def prepare_data(spec: PrepareDataSpec, folder: Path) -> dict[str, Any]:
    """Write a data set's `<split>.<language>.parquet` files; returns sources and what each file holds.

    Rows without a gold label are left out where the catalogue says so (`drop_label`), and counted here.

    Raises:
        DataError: a repository, split, column or language is not there.
        UnavailableError: the hub does not answer.
    """
    commits: dict[tuple[str, str | None, str | None], str] = {}
    files = {}
    for file in spec.files:
        tables, dropped = [], 0
        for piece in file.slices:
            named = (piece.repository, piece.revision, piece.reference)
            if named not in commits:
                commits[named] = resolve_commit(
                    piece.repository, piece.revision, kind="dataset", reference=piece.reference
                )
            table, unlabelled = select_rows(load_slice(piece, commits[named]), piece)
            tables.append(table)
            dropped += unlabelled
        rows = concatenate_datasets(tables)
        _refuse_empty(rows, spec.task, file)
        rows.to_parquet(folder / f"{file.split}.{file.language}.parquet")
        files[f"{file.split}.{file.language}"] = {"rows": len(rows), "droppedWithoutLabel": dropped}
    sources = [{"repository": name, "commit": commit} for (name, *_), commit in commits.items()]
    return {"sources": sources, "files": files}


def select_rows(rows: Dataset, piece: Slice) -> tuple[Dataset, int]:
    """The rows of a slice under our column names, and how many were left out for want of a label.

    Raises:
        DataError: a column that the slice names is not there.
    """
    needed = {*piece.rename, *filter(None, [piece.language_column])}
    needed |= {"id"} if piece.id_prefix is not None else set()
    needed |= {"label"} if piece.drop_label is not None else set()
    missing = sorted(needed - set(rows.column_names))
    if missing:
        place = f"{piece.repository}, configuration {piece.config}, split {piece.split}"
        raise DataError(
            Problem(
                place,
                f"must have {', '.join(missing)} among its columns; it has {', '.join(rows.column_names)}",
            )
        )
    if piece.language_column is not None:
        column, value = piece.language_column, piece.language_value
        rows = rows.filter(lambda wanted: wanted == value, input_columns=column)
    if piece.id_prefix is not None:
        prefix = piece.id_prefix
        rows = rows.filter(lambda identity: identity.startswith(prefix), input_columns="id")
    labelled = rows
    if piece.drop_label is not None:
        unlabelled = piece.drop_label
        labelled = rows.filter(lambda label: label != unlabelled, input_columns="label")
    dropped = len(rows) - len(labelled)
    return _name_tags(labelled.rename_columns(piece.rename)).flatten_indices(), dropped


def _name_tags(rows: Dataset) -> Dataset:
    """Tags by name, not by the number that one data set gives them: numbers differ between releases."""
    tagged = {
        name: feature.feature
        for name, feature in rows.features.items()
        if isinstance(feature, List) and isinstance(feature.feature, ClassLabel)
    }
    if not tagged:
        return rows
    features = Features({**rows.features, **{name: List(Value("string")) for name in tagged}})
    return rows.map(
        lambda row: {name: labels.int2str(row[name]) for name, labels in tagged.items()},
        features=features,
    )


def _refuse_empty(rows: Dataset, task: str, file: DataFile) -> None:
    if len(rows) == 0:
        raise DataError(
            Problem(f"{task}, {file.split}, {file.language}", "must have rows at this commit, and has none")
        )
