"""An API server as far as the progress server knows one: it signs tokens, publishes keys and takes writes."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from xstilts_operator.actions import Resource
from xstilts_operator.api import ApiError, NotFound, ServerError
from xstilts_operator.cache import Cache
from xstilts_operator.names import ATTEMPT_LABEL, STAGE_LABEL
from xstilts_operator.progress.protocol import audience

ISSUER = "https://kubernetes.default.svc"
NAMESPACE, STAGE, POD = "research", "train-0123456789abcdef01234567", "train-0123456789abcdef01234567-1-x7k2p"
STAGE_UID, POD_UID = "6c1f0d1e-stage", "0b7e0a52-pod"

_CURVES = {"ES256": (ec.SECP256R1(), hashes.SHA256()), "ES384": (ec.SECP384R1(), hashes.SHA384())}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _integer(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Signer:
    """A signing key of an API server."""

    def __init__(self, key_id: str, algorithm: str = "RS256") -> None:
        self.key_id = key_id
        self.algorithm = algorithm
        self._key = (
            rsa.generate_private_key(65537, 2048)
            if algorithm == "RS256"
            else ec.generate_private_key(_CURVES[algorithm][0])
        )

    def published(self) -> dict[str, str]:
        named = {"kid": self.key_id, "use": "sig", "alg": self.algorithm}
        if isinstance(self._key, rsa.RSAPrivateKey):
            numbers = self._key.public_key().public_numbers()
            return {**named, "kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
        point, size = self._key.public_key().public_numbers(), self._key.key_size // 8
        curve = {256: "P-256", 384: "P-384"}[self._key.key_size]
        x, y = (encoded(value.to_bytes(size, "big")) for value in (point.x, point.y))
        return {**named, "kty": "EC", "crv": curve, "x": x, "y": y}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        head = {"alg": self.algorithm, "kid": self.key_id, **header}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
        return f"{signed}.{encoded(self._signature(signed.encode()))}"

    def _signature(self, signed: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        size = self._key.key_size // 8
        numbers = decode_dss_signature(self._key.sign(signed, ec.ECDSA(_CURVES[self.algorithm][1])))
        return b"".join(number.to_bytes(size, "big") for number in numbers)


def claims(**changes: Any) -> dict[str, Any]:
    """What a pod's projected token says, as Kubernetes 1.34 makes it."""
    now = int(time.time())
    return {
        "aud": [audience(NAMESPACE, STAGE)],
        "exp": now + 3600,
        "iat": now,
        "iss": ISSUER,
        "jti": "8a1c1a1e-5d2c-4a0f-8f5d-2b8b1c6b9d1e",
        "kubernetes.io": {
            "namespace": NAMESPACE,
            "node": {"name": "node-1", "uid": "d1f0"},
            "pod": {"name": POD, "uid": POD_UID},
            "serviceaccount": {"name": "default", "uid": "5a5a"},
            "warnafter": now + 3607,
        },
        "nbf": now,
        "sub": f"system:serviceaccount:{NAMESPACE}:default",
        **changes,
    }


def bound_to(namespace: str = NAMESPACE, name: str = POD, uid: str = POD_UID) -> dict[str, Any]:
    return {"kubernetes.io": {"namespace": namespace, "pod": {"name": name, "uid": uid}}}


@dataclass
class ApiServer:
    """Answers the calls of the progress server; `failing` are paths that it answers with 500 while they are in it."""

    signers: list[Signer]
    progress: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    config_maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def call(self, verb, plural, method, path, query=None, *, body=None, content="application/json"):
        self.asked.append(path)
        if any(part in path for part in self.failing):
            raise ServerError("etcdserver: request timed out")
        if path == "/.well-known/openid-configuration":
            return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/openid/v1/jwks"}
        if path == "/openid/v1/jwks":
            return {"keys": [signer.published() for signer in self.signers]}
        if "/configmaps/" in path:
            return self._config_map(method, path, body)
        if path.endswith("/status") and method == "PATCH":
            self.progress.append((path, body, query))
            return body
        raise ApiError(f"unexpected: {method} {path}")

    def _config_map(self, method: str, path: str, body: Any) -> dict[str, Any]:
        if method == "PATCH":
            self.config_maps[path] = body
        if path not in self.config_maps:
            raise NotFound("not found")
        return self.config_maps[path]


def stage(name: str = STAGE, attempt: int = 1, state: str = "Active", version: int = 1) -> dict[str, Any]:
    metadata = {
        "namespace": NAMESPACE,
        "name": name,
        "uid": f"{STAGE_UID}{name.removeprefix(STAGE)}",
        "resourceVersion": str(version),
    }
    return {"metadata": metadata, "spec": {}, "status": {"state": state, "attempt": {"number": attempt}}}


def pod(name: str = POD, uid: str = POD_UID, of: str = STAGE, attempt: int = 1) -> dict[str, Any]:
    labels = {STAGE_LABEL: of, ATTEMPT_LABEL: str(attempt)}
    metadata = {"namespace": NAMESPACE, "name": name, "uid": uid, "resourceVersion": "1", "labels": labels}
    return {"metadata": metadata}


def experiment(namespace: str = NAMESPACE) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": "sizes", "uid": f"uid-{namespace}", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {}}


def cache() -> Cache:
    """A cache with one experiment, one running stage and its pod."""
    known = Cache()
    known.upsert(Resource.EXPERIMENT, experiment())
    known.upsert(Resource.STAGE, stage())
    known.upsert(Resource.POD, pod())
    return known
