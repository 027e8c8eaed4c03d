"""JSON Web Tokens as the API server signs them: RS256 and ECDSA, nothing else (RFC 7515, 7517, 7518)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_RSA: Final = "RS256"
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_ECDSA: Final[Mapping[str, tuple[str, hashes.HashAlgorithm]]] = {  # algorithm -> its one curve and hash
    "ES256": (ec.SECP256R1.name, hashes.SHA256()),
    "ES384": (ec.SECP384R1.name, hashes.SHA384()),
    "ES512": (ec.SECP521R1.name, hashes.SHA512()),
}


class TokenError(ValueError):
    """A token, or a published key, that is not what it must be."""


@dataclass(frozen=True)
class Jwt:
    """A token taken apart, not verified: `signed` are the bytes that `signature` is of."""

    algorithm: str
    key_id: str
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def parse(token: str) -> Jwt:
    """Take a compact token apart.

    Raises:
        TokenError: it is none.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenError("must have three parts")
    header, claims = _json(parts[0]), _json(parts[1])
    if "crit" in header:
        raise TokenError("must have no critical extensions")
    return Jwt(
        algorithm=str(header.get("alg")),
        key_id=str(header.get("kid")),
        claims=claims,
        signed=f"{parts[0]}.{parts[1]}".encode(),
        signature=_bytes(parts[2]),
    )


def verify(token: Jwt, key: PublicKey) -> None:
    """Check that the token is signed by the key, with the algorithm that belongs to the key.

    Raises:
        TokenError: it is not.
    """
    try:
        if isinstance(key, rsa.RSAPublicKey):
            if token.algorithm != _RSA:
                raise TokenError(f"must be signed with {_RSA}")
            key.verify(token.signature, token.signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            curve, algorithm = _ECDSA.get(token.algorithm, ("", hashes.SHA256()))
            if curve != key.curve.name:
                raise TokenError("must be signed with the algorithm of its key")
            key.verify(_dss(token.signature, key), token.signed, ec.ECDSA(algorithm))
    except InvalidSignature:
        raise TokenError("must be signed by the API server") from None


def public_keys(published: object) -> dict[str, PublicKey]:
    """The keys of a JSON Web Key Set by key id. Kinds of key that are not known here are left out.

    Raises:
        TokenError: it is no key set, or a key in it is damaged.
    """
    keys = published.get("keys") if isinstance(published, Mapping) else None
    if not isinstance(keys, list) or not all(isinstance(key, Mapping) for key in keys):
        raise TokenError("the API server's keys must be a JSON Web Key Set")
    known = ((str(key.get("kid")), _public_key(key)) for key in keys)
    return {key_id: key for key_id, key in known if key is not None}


def _public_key(key: Mapping[str, Any]) -> PublicKey | None:
    try:
        if key.get("kty") == "RSA":
            return rsa.RSAPublicNumbers(e=_integer(key["e"]), n=_integer(key["n"])).public_key()
        if key.get("kty") == "EC" and key.get("crv") in _CURVES:
            numbers = ec.EllipticCurvePublicNumbers(
                x=_integer(key["x"]), y=_integer(key["y"]), curve=_CURVES[key["crv"]]
            )
            return numbers.public_key()
    except (KeyError, ValueError) as error:
        raise TokenError(f"the API server's key {key.get('kid')!r} is damaged: {error}") from None
    return None


def _dss(signature: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    """A JWS signature (r and s side by side) as the library wants it."""
    half = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * half:
        raise TokenError("must be signed by the API server")
    return encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )


def _json(part: str) -> Mapping[str, Any]:
    try:
        value = json.loads(_bytes(part))
    except (ValueError, RecursionError):
        raise TokenError("must be JSON in base64url") from None
    if not isinstance(value, dict):
        raise TokenError("must be JSON objects")
    return value


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenError("must be base64url") from None


def _integer(part: Any) -> int:
    if not isinstance(part, str):
        raise TokenError("must be strings in base64url")
    return int.from_bytes(_bytes(part), "big")
