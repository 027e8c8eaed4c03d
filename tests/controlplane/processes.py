"""Runs pods as processes of this machine: what a kubelet does, without images, isolation or a network of their own.

A container's command runs with the variables and files that its pod says. As nothing is mounted, a path below a mount
in the command or in a variable becomes one below the volume's folder, and as all pods share the loopback, a name that the
cluster's DNS would answer becomes 127.0.0.1. The user, limits and security context are not kept to.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.api import Api, Object, eventually
from controlplane.player import Outcome, Player
from controlplane.volumes import Volumes
from controlplane.volumes import field as field_of

MESSAGE_BYTES = 4096  # the kubelet reads so much of the end of a termination message's file,
LOG_LINES, LOG_BYTES = 80, 2048  # and where that is empty and the container failed, of its log
LOOPBACK = "127.0.0.1"
NOT_STARTED = 128  # exit code of a container that could not be started
_KILLED = 137
_POD_NAME = re.compile(r"(?P<host>[a-z0-9-]+)\.(?P<service>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc")


@dataclass
class Run:
    """A container that was run. `exit_code` is as in a pod's status: 128 and the signal's number where one ended it."""

    pod: Object
    log: Path
    exit_code: int | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Of the pod."""
        labels: dict[str, str] = self.pod["metadata"]["labels"]
        return labels

    def said(self) -> str:
        """What it wrote to standard output and error so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@dataclass
class ProcessNode:
    """Runs every pod of the operator in a namespace, and keeps its log.

    Attributes:
        api: an administrator's client.
        namespace: whose pods are run.
        folder: takes logs, and the pods' volumes while they run.
        claims: the volume claims' folders.
        message_variable: the programs' own variable for the path of the termination message, which nothing is mounted at.
        runs: every container that was run, in order.
    """

    api: Api
    namespace: str
    folder: Path
    claims: Mapping[str, Path]
    message_variable: str
    runs: list[Run] = field(default_factory=list)
    _processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def player(self) -> Player:
        """The kubelet's dealings with the API server: binding, status and deletion of pods."""
        return Player(self.api, self._run, stopped=self._stop, namespace=self.namespace, node="processes")

    def runs_of(self, **labels: str) -> list[Run]:
        """The runs whose pods have these labels of ours (`kind="train"`)."""
        wanted = {f"xstilts.dev/{name}": value for name, value in labels.items()}
        return [run for run in self.runs if wanted.items() <= run.labels.items()]

    async def _run(self, pod: Object) -> Outcome:
        """Run the pod's container to its end."""
        uid = pod["metadata"]["uid"]
        place = self.folder / uid
        place.mkdir(parents=True)
        volumes = Volumes(self.api, pod, place / "volumes", self.claims)
        try:
            run, process = await self._start(pod, volumes, place)
        except Exception as error:  # noqa: BLE001 - whatever it is, the pod's status tells it, as a kubelet would
            return Outcome(NOT_STARTED, f"the container could not be started: {error!r}")
        self.runs.append(run)
        self._processes[uid] = process
        filling = asyncio.create_task(volumes.keep_filled())
        try:
            run.exit_code = _exit_code(await process.wait())
        finally:
            filling.cancel()
            _kill(process)  # with its first process all of a container ends
            await process.wait()
            shutil.rmtree(place / "volumes", ignore_errors=True)
        return self._outcome(uid, run.exit_code)

    async def _start(
        self, pod: Object, volumes: Volumes, place: Path
    ) -> tuple[Run, asyncio.subprocess.Process]:
        (container,) = pod["spec"]["containers"]
        await volumes.fill()
        mounts = volumes.mounts(container)
        program, *arguments = (_moved(part, mounts) for part in container["command"])
        run = Run(pod, place / "log")
        with run.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable if program == "python" else program,
                *arguments,
                env=await self._environment(pod, container, mounts),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=place,
                start_new_session=True,
            )
        return run, process

    async def _stop(self, pod: Object) -> Outcome:
        """SIGTERM to the container's first process, and SIGKILL to all of it when the grace period is over."""
        process = self._processes.get(pod["metadata"]["uid"])
        if process is None:
            return Outcome(_KILLED)
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), pod["metadata"].get("deletionGracePeriodSeconds", 0))
        except TimeoutError:
            _kill(process)
        return self._outcome(pod["metadata"]["uid"], _exit_code(await process.wait()))

    def _outcome(self, uid: str, code: int) -> Outcome:
        """The exit code and the message, by the policy FallbackToLogsOnError."""
        file = self.folder / uid / "message"
        said = file.read_bytes()[-MESSAGE_BYTES:] if file.is_file() else b""
        if not said and code:
            log = (self.folder / uid / "log").read_bytes()[-LOG_BYTES:]
            said = b"".join(log.splitlines(keepends=True)[-LOG_LINES:])
        return Outcome(code, said.decode(errors="replace"))

    async def _environment(
        self, pod: Object, container: Object, mounts: Mapping[str, Path]
    ) -> dict[str, str]:
        """What the image sets, and what the pod says."""
        said = {one["name"]: await self._value(pod, one) for one in container["env"]}
        environment = {
            "PATH": os.environ["PATH"],
            "HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"],
            "TMPDIR": _moved("/tmp", mounts),
            self.message_variable: str(self.folder / pod["metadata"]["uid"] / "message"),
        }
        if "nvidia.com/gpu" not in container["resources"].get("limits", {}):
            environment["CUDA_VISIBLE_DEVICES"] = ""
        for source in container.get("envFrom", ()):
            environment |= await self._secret(pod["metadata"]["namespace"], source["secretRef"]["name"])
        for name, value in said.items():
            environment[name] = await self._resolved(_moved(value, mounts))
        return environment

    async def _value(self, pod: Object, variable: Object) -> str:
        """The text of a variable, or what its source holds."""
        match variable.get("valueFrom"):
            case None:
                return str(variable.get("value", ""))
            case {"secretKeyRef": {"name": name, "key": key}}:
                path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{name}"
                return base64.b64decode((await self.api.get(path))["data"][key]).decode()
            case source:
                return field_of(pod, source["fieldRef"]["fieldPath"])

    async def _secret(self, namespace: str, name: str) -> dict[str, str]:
        found = await self.api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        return {key: base64.b64decode(value).decode() for key, value in found.get("data", {}).items()}

    async def _resolved(self, value: str) -> str:
        """The loopback, where the value is the name of a pod: once its endpoint is in the Service, as with DNS."""
        name = _POD_NAME.fullmatch(value)
        if name is None:
            return value
        path = f"/apis/discovery.k8s.io/v1/namespaces/{name['namespace']}/endpointslices"

        async def published() -> bool:
            found = await self.api.get(path, labelSelector=f"kubernetes.io/service-name={name['service']}")
            endpoints = [one for each in found["items"] for one in each["endpoints"] or ()]
            return any(one.get("hostname") == name["host"] for one in endpoints)

        await eventually(published)
        return LOOPBACK


def _moved(text: str, mounts: Mapping[str, Path]) -> str:
    """A path below a mount becomes one below the folder that is mounted there; other texts stay."""
    for mount in sorted(mounts, key=len, reverse=True):
        if text == mount or text.startswith(f"{mount}/"):
            return str(mounts[mount]) + text.removeprefix(mount)
    return text


def _exit_code(code: int) -> int:
    """As a container's, of a process's, which is negative where a signal ended it."""
    return code if code >= 0 else 128 - code


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
