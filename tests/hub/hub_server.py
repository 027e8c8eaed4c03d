"""A small local server that speaks the hub's protocol, with repositories made in a test and faults on demand.

Covered: repository information at a revision, file trees, paths-info, HEAD and GET of files with ETag, commit and
Range, gated and missing repositories, revoked tokens, missing revisions and files, connections that drop in the middle of a body.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

REVOKED = "revoked"  # a token that the hub does not know (any more)


@dataclass
class Repository:
    """One repository: its commits (each a whole tree), what `main` names, and who may read it."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    gated_token: str | None = None

    @classmethod
    def of(cls, files: dict[str, bytes], **options: Any) -> Self:
        """A repository of one commit."""
        commit = commit_of(files)
        return cls(commits={commit: files}, branches={"main": commit}, **options)

    def push(self, files: dict[str, bytes]) -> str:
        """Move main to a new commit."""
        commit = commit_of(files)
        self.commits[commit] = files
        self.branches["main"] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch or commit names."""
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None


def commit_of(files: dict[str, bytes]) -> str:
    """A commit id that depends on the files."""
    content = b"".join(name.encode() + hashlib.sha256(body).digest() for name, body in sorted(files.items()))
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@dataclass
class Hub:
    """The server: `models` and `datasets` by id; `drop_after` cuts the next bodies of a file after so many bytes."""

    models: dict[str, Repository] = field(default_factory=dict)
    datasets: dict[str, Repository] = field(default_factory=dict)
    drop_after: dict[str, list[int]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        hub = self

        class Handler(_Handler):
            def __init__(self, *arguments: Any) -> None:
                self.hub = hub
                super().__init__(*arguments)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self._server.server_port}"


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self._wants_body = body
        length = int(self.headers.get("Content-Length") or 0)
        self._posted = self.rfile.read(length)
        parts = urlsplit(self.path)
        path = unquote(parts.path).strip("/")
        self.hub.requests[f"{self.command} {path}"] += 1
        pieces = path.split("/")
        if pieces[0] == "api" and pieces[1] in ("models", "datasets"):
            self._api(pieces[1], "/".join(pieces[2:4]), pieces[4:], parse_qs(parts.query))
        elif "resolve" in pieces:
            kind = "datasets" if pieces[0] == "datasets" else "models"
            at = pieces.index("resolve")
            self._file(kind, "/".join(pieces[at - 2 : at]), pieces[at + 1], "/".join(pieces[at + 2 :]))
        else:
            self._error(404, "EntryNotFound", f"no such address: {path}")

    def _repository(self, kind: str, name: str) -> Repository | None:
        if self.headers.get("Authorization") == f"Bearer {REVOKED}":
            self._error(401, "", "Invalid credentials in Authorization header")
            return None
        repository: Repository | None = getattr(self.hub, kind).get(name)
        if repository is None:
            self._error(401, "RepoNotFound", "Repository not found")
            return None
        token = repository.gated_token
        if token is not None and self.headers.get("Authorization") != f"Bearer {token}":
            code = 401 if self.headers.get("Authorization") is None else 403
            self._error(code, "GatedRepo", f"Access to {kind} {name} is restricted.")
            return None
        return repository

    def _api(self, kind: str, name: str, rest: list[str], query: dict[str, list[str]]) -> None:
        repository = self._repository(kind, name)
        if repository is None:
            return
        action = rest[0] if rest else "revision"
        revision = rest[1] if len(rest) > 1 else "main"
        commit = repository.resolve(revision)
        if commit is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        files = repository.commits[commit]
        if action == "revision":
            siblings = [{"rfilename": file} for file in sorted(files)]
            self._json(
                {"_id": name, "id": name, "sha": commit, "siblings": siblings, "private": False, "tags": []}
            )
        elif action == "tree":
            prefix = "/".join(rest[2:])
            self._json(_tree(files, prefix, recursive=query.get("recursive", ["False"])[0].lower() == "true"))
        elif action == "paths-info":
            self._json([_entry(path, files) for path in self._asked_paths() if _entry(path, files)])
        else:
            self._error(404, "EntryNotFound", f"no such action: {action}")

    def _asked_paths(self) -> list[str]:
        if "json" in self.headers.get("Content-Type", ""):
            return list(json.loads(self._posted)["paths"])
        return parse_qs(self._posted.decode()).get("paths", [])

    def _file(self, kind: str, name: str, revision: str, path: str) -> None:
        repository = self._repository(kind, name)
        if repository is None:
            return
        commit = repository.resolve(revision)
        if commit is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        content = repository.commits[commit].get(path)
        if content is None:
            self._error(404, "EntryNotFound", f"{path} is not in {name}", {"X-Repo-Commit": commit})
            return
        start = 0
        wanted = self.headers.get("Range")
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first)
            end = int(last) + 1 if last else len(content)
        else:
            end = len(content)
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        if self._wants_body:
            drops = self.hub.drop_after.get(path, [])
            if drops:
                self.wfile.write(content[start : start + drops.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.hub.sent[path] += end - start
            self.wfile.write(content[start:end])

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"error": message}).encode()
        self._send(status, body, {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self._wants_body:
            self.wfile.write(body)


def _entry(path: str, files: dict[str, bytes]) -> dict[str, Any] | None:
    if path in files:
        content = files[path]
        oid = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return {"type": "file", "path": path, "size": len(content), "oid": oid}
    if any(file.startswith(f"{path}/") for file in files):
        return {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}
    return None


def _tree(files: dict[str, bytes], prefix: str, *, recursive: bool) -> list[dict[str, Any]]:
    start = f"{prefix}/" if prefix else ""
    inside = [file for file in sorted(files) if file.startswith(start)]
    paths = set()
    for file in inside:
        pieces = file[len(start) :].split("/")
        depths = range(1, len(pieces) + 1) if recursive else (1,)
        paths |= {start + "/".join(pieces[:depth]) for depth in depths}
    return [entry for path in sorted(paths) if (entry := _entry(path, files))]
