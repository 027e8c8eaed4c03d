"""Which commit a hub repository is at, asked of its API: all that the core wants of the Hugging Face hub."""

from __future__ import annotations

import json
import os
import re
from http.client import HTTPException
from typing import Final, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from xstilts.errors import Problem, SpecError, UnavailableError

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
_TIMEOUT = 30  # seconds
_ANSWER_LIMIT = 10_000_000  # bytes; the answer lists the repository's files
_COMMIT = re.compile(r"[0-9a-f]{40}")

RepositoryKind = Literal["models", "datasets"]


def current_commit(kind: RepositoryKind, repository: str, branch: str, field: str) -> str:
    """The commit that a branch of a repository is at now.

    HF_ENDPOINT and HF_TOKEN are honoured, and the proxies of the environment. `field` is where an error lies.

    Raises:
        SpecError: there is no such repository, or it may not be read.
        UnavailableError: the hub does not answer, or not as it should.
    """
    address = f"{_endpoint()}/api/{kind}/{quote(repository)}/revision/{quote(branch, safe='')}"
    request = Request(address)  # noqa: S310 - the scheme is checked
    token = os.environ.get("HF_TOKEN", "").strip()  # of a file or a Secret, a line feed may come with it
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")  # never sent to another host
    try:
        with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - the scheme is checked
            commit = json.loads(answer.read(_ANSWER_LIMIT))["sha"]
    except HTTPError as error:
        raise _refused(error, repository, field, has_token=bool(token)) from error
    except (URLError, OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise UnavailableError(
            Problem(field, f"{repository} cannot be looked up at {_endpoint()}: {reason}; try again later")
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _strange(repository, field) from error
    if not isinstance(commit, str) or _COMMIT.fullmatch(commit) is None:
        raise _strange(repository, field)
    return commit


def _endpoint() -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT
    try:
        parts = urlsplit(endpoint)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket that is not closed, a port that is no number
        sound = False
    if not sound:
        raise SpecError(Problem("HF_ENDPOINT", f"must be an http:// or https:// address, was {endpoint!r}"))
    return endpoint.rstrip("/")


def _refused(
    error: HTTPError, repository: str, field: str, *, has_token: bool
) -> SpecError | UnavailableError:
    token = "HF_TOKEN may not read it" if has_token else "if it is private or gated, set HF_TOKEN"
    with error:
        if error.code in {401, 404}:
            return SpecError(
                Problem(field, f"must be a repository of the hub, {repository!r} was not found; {token}")
            )
        if error.code == 403:
            sentence = f"must be readable, {repository!r} is gated: accept its terms on its page; {token}"
            return SpecError(Problem(field, sentence))
        return UnavailableError(
            Problem(
                field, f"{repository} cannot be looked up: the hub answered {error.code}; try again later"
            )
        )


def _strange(repository: str, field: str) -> UnavailableError:
    return UnavailableError(
        Problem(field, f"{repository} cannot be looked up: {_endpoint()} does not answer as the hub does")
    )
