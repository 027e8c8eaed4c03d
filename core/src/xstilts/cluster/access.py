"""A store of a cluster from here: a pod of one's own mounts it for as long as the folder goes over."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from xstilts.cluster import paths
from xstilts.cluster.client import Client, NotFoundError
from xstilts.cluster.exec import Command
from xstilts.cluster.stores import Reach, pod
from xstilts.errors import EXIT_FAILED, Problem, StoreError, UnavailableError, UserError
from xstilts.store import FileEntry
from xstilts.store.files import content, entries
from xstilts.store.manifest import digest_of
from xstilts.store.stream import PROGRAM, pack, unpack

LIFE_SECONDS: Final = 6 * 3600  # after which the pod ends although nobody has deleted it
START_SECONDS: Final = 300
_POLL_SECONDS: Final = 1.0
_HOPELESS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull", "ImagePullBackOff"})
_CONTAINER: Final = "store"

Note = Callable[[str], None]


class RemoteStore:
    """A namespace's store, by a pod that runs there under the user's own rights.

    `note` hears what is done meanwhile.
    """

    def __init__(self, client: Client, namespace: str, reached: Reach, note: Note) -> None:
        self._client, self._namespace, self._reach, self._note = client, namespace, reached, note

    def put(self, name: str, folder: Path) -> str:
        """Put a folder into the store; its reference. What arrives is hashed there before it is put.

        Raises:
            UserError: the pod cannot run, or what it says is wrong.
        """
        files = content(folder, links=True)
        digest = digest_of(entries(files))
        with self._pod() as running, self._run(running, "put", name, digest) as command:
            size = sum(path.stat().st_size for path in files.values())
            self._note(f"sends {len(files)} files, {size} bytes")
            pack(files, command.input)
            told = command.output.read()
        reference: str = json.loads(told)["reference"]
        return reference

    def fetch(self, what: str, folder: Path) -> dict[str, FileEntry]:
        """Write what the store has into a folder; what was written. Every byte is hashed as it arrives.

        Raises:
            UserError: as `put`, or there is no such thing.
        """
        with self._pod() as running, self._run(running, "fetch", what) as command:
            return unpack(command.output, folder)

    @contextmanager
    def _pod(self) -> Iterator[str]:
        """A pod that runs; it is deleted at the end of the block, whatever ends it."""
        name = f"xstilts-store-{secrets.token_hex(4)}"
        body = pod(self._reach, self._namespace, name, [*PROGRAM, "wait", str(LIFE_SECONDS)], LIFE_SECONDS)
        try:
            self._client.call("POST", paths.core(self._namespace, "pods"), body)
            self._note(f"starts the pod {name} in {self._namespace}")
            self._await(name)
            yield name
        finally:
            self._delete(name)

    def _delete(self, name: str) -> None:
        """Delete the pod; that this fails must not hide why we are here."""
        try:
            path = paths.core(self._namespace, "pods", name)
            self._client.call("DELETE", path, {"gracePeriodSeconds": 1})
        except NotFoundError:
            pass
        except UserError as error:
            self._note(
                f"the pod {name} is left, since it could not be deleted ({error}); "
                f"kubectl delete pod {name} -n {self._namespace}"
            )

    def _await(self, name: str) -> None:
        end, last = time.monotonic() + START_SECONDS, ""
        while True:
            found = self._client.get(paths.core(self._namespace, "pods", name))
            phase = (found.get("status") or {}).get("phase", "")
            if phase == "Running":
                return
            reason, message = _waits_for(found)
            if phase in {"Failed", "Succeeded"} or reason in _HOPELESS or time.monotonic() > end:
                problem = f"must run, is {phase or 'not there'}: {reason} {message}".strip()
                raise UnavailableError(Problem(f"pod {self._namespace}/{name}", problem))
            said = f"{reason}: {message}" if message else reason
            if said and said != last:
                self._note(f"it waits: {said}")
            last = said
            time.sleep(_POLL_SECONDS)

    @contextmanager
    def _run(self, name: str, *arguments: str) -> Iterator[Command]:
        """A command in the pod, which must end well; what it says of its own failing comes before any other error."""
        query = [("container", _CONTAINER), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        query += [("command", part) for part in (*PROGRAM, *arguments)]
        path = f"{paths.core(self._namespace, 'pods', name)}/exec"
        command = Command(self._client.websocket(path, query), f"pod {self._namespace}/{name}")
        try:
            try:
                yield command
            except (UserError, ValueError, BrokenPipeError) as error:
                self._refuse(command)
                raise StoreError(f"the pod's answer must be whole, is not: {error}") from None
            self._refuse(command)
        finally:
            command.close()

    def _refuse(self, command: Command) -> None:
        code, said = command.end()
        if code == 0:
            return
        lines = [line.removeprefix("error: ") for line in said.splitlines() if line.strip()]
        wrong = [line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")]
        problems = wrong or lines[-1:] or ["the pod must say how it ended, did not: it may have been deleted"]
        raise (UnavailableError if code in {None, EXIT_FAILED} else StoreError)(*problems)


def _waits_for(found: dict[str, Any]) -> tuple[str, str]:
    """Why a pod does not run: its container's reason, else the scheduler's."""
    status = found.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return str(waiting.get("reason", "")), str(waiting.get("message", ""))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("reason", "")), str(condition.get("message", ""))
    return str(status.get("reason", "")), str(status.get("message", ""))
