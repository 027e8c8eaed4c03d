"""The Kubernetes API with plain dicts: paths in, objects out, and errors for people."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from xstilts.errors import Problem, SpecError, UnavailableError, UserError

Object = dict[str, Any]

TABLE: Final = "application/json;as=Table;g=meta.k8s.io;v=v1"
MERGE: Final = "application/merge-patch+json"
_OBJECT: Final = re.compile(r'^Invalid value: "object": ')  # says nothing: the field stands before it
_CONNECT_SECONDS: Final = 10
_READ_SECONDS: Final = 60
_WAITS: Final = 5  # in which a busy server may ask us to come again


def kubeconfig_files(kubeconfig: str | None = None) -> list[Path]:
    """Where a cluster may be named: the file that is given, else $KUBECONFIG, else ~/.kube/config."""
    files = kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    return [Path(one) for one in files.split(os.pathsep) if one]


def names_cluster() -> bool:
    """Whether anything does: one of those files, or that we are a pod. Whether it leads to one is not asked."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(one.exists() for one in kubeconfig_files())


class NotFoundError(UserError):
    """The cluster has nothing of that name."""


class ConflictError(UserError):
    """Something of that name is there, or was changed meanwhile."""


class DeniedError(UnavailableError):
    """The cluster does not let this user do that."""


class Client:
    """One cluster, in the namespace that its context names.

    Attributes:
        context: the context's name, for people.
        server: the API server's address.
        namespace: the context's, else `default`.
    """

    def __init__(self, api: Any, context: str, namespace: str) -> None:
        self._api = api
        self.context = context
        self.server: str = api.configuration.host
        self.namespace = namespace

    @classmethod
    def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Client:
        """The cluster of a kubeconfig (else $KUBECONFIG, else ~/.kube/config), or the one that we are a pod of.

        Nothing is asked yet.

        Raises:
            UserError: nothing names a cluster, or kubernetes is not installed.
        """
        try:
            from kubernetes import client, config  # noqa: PLC0415 - takes a second, and only clusters need it
        except ImportError:
            raise UnavailableError(
                "talking to a cluster needs the Python package kubernetes: pip install 'xstilts[cluster]'"
            ) from None
        files = kubeconfig_files(kubeconfig)
        file = os.pathsep.join(map(str, files))
        settings = client.Configuration()
        settings.retries = _when_asked_to_wait()
        inside = not kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ
        there = any(one.exists() for one in files)
        if not there and not inside:
            sentence = "must be there, is not; name the cluster's with --kubeconfig or $KUBECONFIG"
            raise UserError(Problem(f"kubeconfig {file}", sentence))
        try:
            if not there:
                config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call] # theirs
                return cls(client.ApiClient(settings), "in this pod's cluster", _own_namespace())
            contexts, active = config.list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call]
            chosen = next((one for one in contexts if one["name"] == context), None) if context else active
            if chosen is None:
                known = ", ".join(sorted(one["name"] for one in contexts)) or "none"
                raise UserError(Problem("--context", f"must be one of {file} ({known}), was {context!r}"))
            config.load_kube_config(  # type: ignore[no-untyped-call]
                file, chosen["name"], client_configuration=settings, persist_config=False
            )
        except (config.ConfigException, OSError, ValueError, yaml.YAMLError) as error:
            sentence = f"must name a cluster and how to log in: {_first_line(str(error))}"
            raise UserError(Problem(f"kubeconfig {file}", sentence)) from None
        except (AttributeError, KeyError, TypeError):  # what it holds is no mapping, or another one
            sentence = "must name a cluster and how to log in, is no kubeconfig"
            raise UserError(Problem(f"kubeconfig {file}", sentence)) from None
        namespace = chosen["context"].get("namespace") or "default"
        return cls(client.ApiClient(settings), chosen["name"], namespace)

    def get(self, path: str, *, accept: str = "application/json", **query: str) -> Object:
        """GET an object or a list."""
        return self.call("GET", path, query=query, accept=accept)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        """One request; the object in the answer.

        Raises:
            NotFoundError, ConflictError, DeniedError: 404, 409; 401 and 403.
            SpecError: what was sent is refused, with its fields.
            UnavailableError: no answer, or one of a server that is not well.
        """
        response = self._send(method, path, body, query, {"Accept": accept, "Content-Type": content_type})
        answered: Object = json.loads(response.data)
        return answered

    def lines(self, path: str, *, wait_seconds: float | None = _READ_SECONDS, **query: str) -> Iterator[str]:
        """The lines of a text, as they come; `wait_seconds` None waits for each without an end."""
        import urllib3  # noqa: PLC0415 - kubernetes brings it

        response = self._send("GET", path, None, query, {"Accept": "*/*"}, wait_seconds)
        rest = b""
        try:
            for piece in response.stream(4096, decode_content=True):
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from None
        finally:
            response.release_conn()
        if rest:
            yield rest.decode(errors="replace")

    def websocket(self, path: str, query: Sequence[tuple[str, str]]) -> Any:
        """An open connection to a command in a pod (websocket-client's), as `xstilts.cluster.exec` reads it.

        Raises:
            UserError: as `call`.
        """
        import websocket  # noqa: PLC0415 - kubernetes brings it
        from kubernetes.stream.ws_client import (  # noqa: PLC0415 - takes a second
            create_websocket,
            get_websocket_url,
        )

        _, url, headers, _, _ = self._api.param_serialize(
            method="GET",
            resource_path=path,
            query_params=list(query),
            header_params={},
            auth_settings=["BearerToken"],
        )
        known = {name.lower(): value for name, value in headers.items()}
        try:
            return create_websocket(self._api.configuration, get_websocket_url(url), known)  # type: ignore[no-untyped-call] # theirs
        except websocket.WebSocketBadStatusException as error:
            self._refuse("GET", path, error.status_code, error.resp_body or b"")
        except (websocket.WebSocketException, OSError) as error:
            raise self._unreachable(error) from None

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        read_seconds: float | None = _READ_SECONDS,
    ) -> Any:
        import urllib3  # noqa: PLC0415 - kubernetes brings it

        try:
            request = self._api.param_serialize(
                method=method,
                resource_path=path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            timeout = (_CONNECT_SECONDS, read_seconds)
            response = self._api.call_api(*request, _request_timeout=timeout).response
            if response.status >= 400:
                self._refuse(method, path, response.status, response.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        return response

    def _unreachable(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            Problem(
                f"cluster {self.context}",
                f"must answer at {self.server}, does not: {_cause(error)}; is it up, and is the right context chosen "
                "(--context, --kubeconfig)?",
            )
        )

    def _refuse(self, method: str, path: str, code: int, content: bytes) -> NoReturn:
        try:
            status = json.loads(content)
        except ValueError:
            status = {}
        status = status if isinstance(status, dict) else {}
        said = str(status.get("message") or _first_line(content.decode(errors="replace")) or f"HTTP {code}")
        if code == 404:
            raise NotFoundError(said)
        if code == 409:
            raise ConflictError(said)
        if code == 401:
            problem = "must know you, and refuses your credentials; log in again, or choose another --context"
            raise DeniedError(Problem(f"cluster {self.context}", problem))
        if code == 403:
            problem = f"must let you {_verb(method)} {path}, does not: {said}; ask who looks after it for that right"
            raise DeniedError(Problem(f"cluster {self.context}", problem))
        causes = (status.get("details") or {}).get("causes") or ()
        problems = [
            Problem(str(one.get("field", "")).strip("<>"), _OBJECT.sub("", str(one.get("message", ""))))
            for one in causes
            if isinstance(one, dict)
        ]
        if code in {400, 422}:
            raise SpecError(*(problems or [Problem("", said)]))
        raise UnavailableError(Problem(f"cluster {self.context}", f"must be well, answered {code}: {said}"))


def _when_asked_to_wait() -> Any:
    """What urllib3 sends again: what was answered 429 (or 503 with a Retry-After), after the time that Retry-After names.

    The server has done nothing of such a request, whatever its method: it is busy, or it has just learnt of a CRD and
    makes its storage ready, as after an install or an upgrade.
    """
    import urllib3  # noqa: PLC0415 - kubernetes brings it

    return urllib3.Retry(
        _WAITS,
        connect=0,
        read=0,
        redirect=0,
        other=0,
        status_forcelist=(429,),
        allowed_methods=None,
        raise_on_status=False,
    )


def _own_namespace() -> str:
    file = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    return file.read_text(encoding="utf-8").strip() if file.exists() else "default"


def _verb(method: str) -> str:
    return {"GET": "read", "POST": "create in", "PATCH": "change", "PUT": "change"}.get(
        method, method.lower()
    )


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:500]


def _cause(error: BaseException) -> str:
    """What the deepest cause says: the wrappers repeat the address and Python's names."""
    while (inner := getattr(error, "reason", None) or error.__cause__) and isinstance(inner, BaseException):
        error = inner
    said = str(error)
    for mark in ("[Errno ", "HTTPSConnection", "HTTPConnection"):
        if mark in said and ": " in said:
            said = said.rpartition(": ")[2]
    return _first_line(said).split("] ")[-1].rstrip(".)'\"") or type(error).__name__
