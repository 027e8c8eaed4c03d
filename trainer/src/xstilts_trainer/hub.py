"""The Hugging Face hub at a pinned commit, behind one module: every failure is an error for people.

HF_ENDPOINT, HF_TOKEN and HF_HOME are honoured as the hub's own library does: downloads are cached by commit and
continue where a dropped connection left them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from datasets import Dataset, DatasetBuilder, load_dataset_builder
from datasets.exceptions import DataFilesNotFoundError, DatasetGenerationError, DatasetNotFoundError
from datasets.packaged_modules.cache.cache import Cache
from huggingface_hub import HfApi, get_token, snapshot_download
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from xstilts.errors import DataError, Problem, UnavailableError
from xstilts.stage import HubSource, Slice

# Weights as safetensors alone: a pickle is never fetched, so it can never be loaded.
MODEL_FILES = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)


def resolve_commit(repository: str, revision: str | None, *, kind: str, reference: str | None = None) -> str:
    """The full commit that is read: `revision` itself, or what `reference` (a branch; None: main) names now.

    Raises:
        DataError: no such repository or branch, or no access to it.
        UnavailableError: the hub does not answer.
    """
    if revision is not None:
        return revision
    with _errors(repository, reference or "main"):
        information = HfApi().repo_info(repository, repo_type=kind, revision=reference)
    if information.sha is None:
        raise DataError(Problem(repository, "the hub names no commit for it; give a revision"))
    return information.sha


def download_model(source: HubSource, commit: str) -> list[Path]:
    """A model repository's configuration, safetensors weights and tokenizer at a commit: files of the hub's cache.

    These alone, whatever else of the commit others have brought into the cache.

    Raises:
        DataError: no such repository or commit, no access, or no safetensors weights there.
        UnavailableError: the hub does not answer, or this machine's disk is full.
    """
    name, files = source.repository, list(MODEL_FILES)
    others = "*/*"  # a pattern's * crosses folders: those hold other forms of a model
    with _errors(name, commit):
        try:
            listed = snapshot_download(
                name, revision=commit, allow_patterns=files, ignore_patterns=others, dry_run=True
            )
        except DryRunError as error:
            # without a listing of the commit the library would take what the cache has of it for all of it
            raise error.__cause__ or error from None
        folder = Path(snapshot_download(name, revision=commit, allow_patterns=files, ignore_patterns=others))
    found = sorted(folder / file.filename for file in listed)
    if not any(file.suffix == ".safetensors" for file in found):
        raise DataError(
            Problem(
                source.repository,
                f"must hold safetensors weights, and has none at commit {commit}; name a commit that has them "
                "(the hub's conversion pull request, refs/pr/N), or convert them once and `xstilts put` the folder",
            )
        )
    return found


def load_slice(piece: Slice, commit: str) -> Dataset:
    """One split of a configuration of a hub data set at a commit, as the hub's library reads it. No code is run.

    Raises:
        DataError: no such repository, commit, configuration or split, files that cannot be read, or that are not the
            repository's own.
        UnavailableError: the hub does not answer, or this machine's disk is full.
    """
    with _errors(piece.repository, commit):
        try:
            # asked first: where the hub does not answer, the library takes the rows that it has seen last, at whatever commit
            HfApi().dataset_info(piece.repository, revision=commit)
            builder = load_dataset_builder(piece.repository, piece.config, revision=commit)
            if isinstance(builder, Cache):  # it has not answered since
                sentence = f"the hub did not answer for commit {commit}; try again later"
                raise UnavailableError(Problem(piece.repository, sentence))
            _refuse_foreign_files(builder, piece, commit)
            builder.download_and_prepare()
            rows: Dataset = builder.as_dataset(split=piece.split)
        except (DatasetNotFoundError, DataFilesNotFoundError) as error:
            raise error.__cause__ or error from error
        except LocalEntryNotFoundError:
            raise
        except (ValueError, FileNotFoundError, DatasetGenerationError) as error:
            reason = (
                error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
            )
            if isinstance(reason, OSError) and not isinstance(reason, FileNotFoundError):
                raise reason from error
            place = f"{piece.repository}, configuration {piece.config}, split {piece.split}"
            raise DataError(Problem(place, f"cannot be read at commit {commit}: {_told(reason)}")) from error
    return rows


def _refuse_foreign_files(builder: DatasetBuilder, piece: Slice, commit: str) -> None:
    """A data set's card says which files it has: at another commit, too, whose rows would pass for those of this one.

    (Files outside the repository the library refuses itself.)
    """
    own = f"hf://datasets/{piece.repository}@{commit}/"
    files = [file for split in (builder.config.data_files or {}).values() for file in split]
    for file in files:
        inside = str(file).removeprefix(own)
        if inside == str(file) or "::" in inside or ".." in inside.split("/"):
            raise DataError(
                Problem(
                    f"{piece.repository}, configuration {piece.config}",
                    f"data files must be the repository's own at commit {commit}, named {str(file)!r}; take a commit "
                    "whose card names none but its own",
                )
            )


@contextmanager
def _errors(repository: str, revision: str | None) -> Iterator[None]:
    """Turn the hub library's exceptions into sentences that say what to do."""
    try:
        yield
    except GatedRepoError as error:
        raise DataError(
            Problem(
                repository,
                "is gated: accept its terms on its page, and set HF_TOKEN to a token that may read it",
            )
        ) from error
    except RevisionNotFoundError as error:
        raise DataError(
            Problem(repository, f"has no commit {revision}; `xstilts pin` writes the one it has now")
        ) from error
    except RepositoryNotFoundError as error:
        raise DataError(
            Problem(
                repository,
                "is not on the hub, or not readable without a token: check the name, or set HF_TOKEN",
            )
        ) from error
    except (DatasetNotFoundError, DataFilesNotFoundError) as error:
        raise DataError(Problem(repository, _told(error))) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError, ConnectionError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code in {401, 403}:
            sentence = (
                f"must be readable, the hub answered {error.response.status_code}: set HF_TOKEN to a token that the hub knows "
                "and that may read it, or to none"
            )
            raise DataError(Problem(repository, sentence)) from error
        raise UnavailableError(
            Problem(
                repository,
                f"the hub did not answer ({type(error).__name__}: {_told(error)}); try again later",
            )
        ) from error
    except OSError as error:
        raise UnavailableError(
            Problem(repository, f"must be kept on this machine's disk, cannot be: {error}")
        ) from error


def _told(error: BaseException) -> str:
    """The error's text without the token: a server may repeat what it was sent."""
    token = get_token()
    return str(error).replace(token, "<token>") if token else str(error)
