"""The progress server's own certificate authority and certificate: made in memory, renewed, never stored.

A pod verifies the server by a bundle of public certificates, so the key of the authority need not outlive the process:
a new process makes a new authority and publishes it beside the previous ones.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE: Final = timedelta(days=365)
CERTIFICATE_LIFE: Final = timedelta(days=30)
SPREADING: Final = timedelta(hours=1)  # a bundle is in every pod by then: the kubelet takes about a minute
PREVIOUS: Final = 2  # authorities of earlier processes, or of another one, that a bundle keeps
_CLOCKS_DIFFER: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate, which is public."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def is_due(self, now: datetime) -> bool:
        """Whether two thirds of its life are over."""
        begun, ends = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return now >= begun + (ends - begun) * 2 / 3


class Certificates:
    """The authority in use, the next one while its certificate spreads, the last one, and the server's certificate.

    `names` are the host names and addresses that the server is reached by.
    """

    def __init__(self, names: Sequence[str], now: datetime) -> None:
        self._names = tuple(names)
        self._authority = make_authority(now)
        self._last: Identity | None = None
        self._next: tuple[Identity, datetime] | None = None  # and since when it is published
        self.server = issue(self._authority, self._names, now)

    @property
    def authorities(self) -> tuple[str, ...]:
        """The PEM certificates that clients must trust, the newest first."""
        known = (self._next[0] if self._next else None, self._authority, self._last)
        return tuple(identity.pem for identity in known if identity is not None)

    def renew(self, now: datetime) -> bool:
        """Renew what is due. True if `server` is another one: it must be loaded anew.

        A new authority signs only after its certificate had time to reach every pod.
        """
        if self._next is None and self._authority.is_due(now):
            self._next = (make_authority(now), now)
        switched = False
        if self._next is not None and now >= self._next[1] + SPREADING:
            self._last, self._authority, self._next = self._authority, self._next[0], None
            switched = True
        if switched or self.server.is_due(now):
            self.server = issue(self._authority, self._names, now)
            return True
        return False


def make_authority(now: datetime) -> Identity:
    """A new authority, which signs servers' certificates and nothing below."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"xstilts progress {serial:x}"[:64])  # a name of its own: chains are found by it
    builder = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return Identity(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Identity, names: Iterable[str], now: datetime) -> Identity:
    """A server's certificate for these host names and addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    life = min(CERTIFICATE_LIFE, issuer.not_valid_after_utc - now)
    builder = (
        _builder(_name("xstilts progress"), issuer.subject, key.public_key(), now, life)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    )
    return Identity(builder.sign(authority.key, hashes.SHA256()), key)


def host_of(address: str) -> str:
    """The host of an address (https://host:port): what the server's certificate must name."""
    host = urlsplit(address).hostname
    if host is None:
        raise ValueError(f"progress.address must be https://HOST:PORT, was {address!r}")
    return host


def bundle(own: Sequence[str], published: str, now: datetime) -> str:
    """The bundle to publish: the `own` authorities first, then the newest others of `published` that are valid.

    Others are those of an operator before this one, or of one that runs beside it for a while. What is published and is
    no certificate is left out.
    """
    try:
        found = x509.load_pem_x509_certificates(published.encode())
    except ValueError:
        found = []
    others = [
        pem
        for certificate in found
        if certificate.not_valid_after_utc > now
        and (pem := certificate.public_bytes(serialization.Encoding.PEM).decode()) not in own
    ]
    return "".join([*own, *others[:PREVIOUS]])


def server_context() -> ssl.SSLContext:
    """A context of TLS 1.2 or newer, as yet without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def load(context: ssl.SSLContext, identity: Identity) -> None:
    """Use the certificate from the next connection on. It goes by a file in memory: the library reads only files."""
    key = identity.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, identity.pem.encode() + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
