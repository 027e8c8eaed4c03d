"""What a pod mounts, as folders: the volumes that a kubelet fills, with what the API server says of them."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiException

from controlplane.api import Api, Object

REFRESH_SECONDS = 1.0  # a kubelet takes up to a minute or two
_KEY = re.compile(r"metadata\.(?P<map>annotations|labels)\['(?P<key>[^']+)'\]")


class Volumes:
    """The volumes of one pod: each a folder below `folder`, but a claim, which is one of `claims`."""

    def __init__(self, api: Api, pod: Object, folder: Path, claims: Mapping[str, Path]) -> None:
        self._api = api
        self._pod = pod
        self._places = {
            volume["name"]: _claimed(volume, claims) or folder / volume["name"]
            for volume in pod["spec"].get("volumes", ())
        }
        self._tokens: dict[str, bytes] = {}

    def mounts(self, container: Object) -> dict[str, Path]:
        """Where the container finds each volume -> the folder."""
        return {one["mountPath"]: self._places[one["name"]] for one in container.get("volumeMounts", ())}

    async def fill(self) -> None:
        """Write what the volumes hold; a file whose content has changed is replaced.

        Raises:
            ApiException: a ConfigMap is not there, and not optional, or there is no such account.
            NotImplementedError: a kind of volume that is not known here.
        """
        for volume in self._pod["spec"].get("volumes", ()):
            place = self._places[volume["name"]]
            place.mkdir(parents=True, exist_ok=True)
            for name, content in (await self._content(volume)).items():
                _replace(place / name, content)

    async def keep_filled(self) -> None:
        """Fill them again and again, as ConfigMaps change; until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with suppress(ApiException, aiohttp.ClientError, TimeoutError):
                await self.fill()

    async def _content(self, source: Object) -> dict[str, bytes]:
        """The files of a volume, or of one source of a projected one."""
        match source:
            case {"emptyDir": _} | {"persistentVolumeClaim": _}:
                return {}
            case {"downwardAPI": {"items": items}}:
                return {
                    item["path"]: field(self._pod, item["fieldRef"]["fieldPath"]).encode() for item in items
                }
            case {"configMap": config_map}:
                return await self._config_map(config_map)
            case {"serviceAccountToken": token}:
                return {token["path"]: await self._token(token)}
            case {"projected": {"sources": sources}}:
                files: dict[str, bytes] = {}
                for one in sources:
                    files |= await self._content(one)
                return files
        raise NotImplementedError(f"a volume of {sorted(source)}")

    async def _config_map(self, said: Object) -> dict[str, bytes]:
        namespace = self._pod["metadata"]["namespace"]
        try:
            found = await self._api.get(f"/api/v1/namespaces/{namespace}/configmaps/{said['name']}")
        except ApiException as error:
            if error.status == 404 and said.get("optional"):
                return {}
            raise
        files = {name: text.encode() for name, text in found.get("data", {}).items()}
        files |= {name: base64.b64decode(text) for name, text in found.get("binaryData", {}).items()}
        if "items" not in said:
            return files
        return {item["path"]: files[item["key"]] for item in said["items"] if item["key"] in files}

    async def _token(self, said: Object) -> bytes:
        """A token of the pod's account, bound to the pod; asked for once: no test takes as long as it is valid."""
        audience = said["audience"]
        if audience not in self._tokens:
            metadata = self._pod["metadata"]
            bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
            body = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {
                    "audiences": [audience],
                    "expirationSeconds": said["expirationSeconds"],
                    "boundObjectRef": bound,
                },
            }
            account = self._pod["spec"]["serviceAccountName"]
            accounts = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts"
            answer = await self._api.create(f"{accounts}/{account}/token", body)
            self._tokens[audience] = answer["status"]["token"].encode()
        return self._tokens[audience]


def field(pod: Object, path: str) -> str:
    """The value of a field of the pod, as fieldRef names it; an annotation or label that is not there is empty.

    Raises:
        NotImplementedError: a field that is not known here.
    """
    metadata = pod["metadata"]
    if found := _KEY.fullmatch(path):
        return str(metadata.get(found["map"], {}).get(found["key"], ""))
    if path in {"metadata.name", "metadata.namespace", "metadata.uid"}:
        return str(metadata[path.removeprefix("metadata.")])
    raise NotImplementedError(f"fieldRef {path}")


def _claimed(volume: Mapping[str, Any], claims: Mapping[str, Path]) -> Path | None:
    return claims[volume["persistentVolumeClaim"]["claimName"]] if "persistentVolumeClaim" in volume else None


def _replace(file: Path, content: bytes) -> None:
    """Put the content there whole: who reads the file sees the old one or the new one."""
    if file.is_file() and file.read_bytes() == content:
        return
    draft = file.with_name(f".{file.name}.draft")
    draft.write_bytes(content)
    draft.replace(file)
