"""Certificates: what a strict client wants of them, when they are renewed, and what the bundle holds."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from xstilts_operator.progress.tls import (
    CERTIFICATE_LIFE,
    PREVIOUS,
    SPREADING,
    Certificates,
    bundle,
    host_of,
    load,
    make_authority,
    server_context,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
NAME = "xstilts-progress.xstilts-system.svc"


def trusts(authorities: tuple[str, ...] | list[str], certificates: Certificates, now: datetime) -> bool:
    store = Store(x509.load_pem_x509_certificates("".join(authorities).encode()))
    verifier = PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(NAME))
    try:
        verifier.verify(certificates.server.certificate, [])
    except x509.verification.VerificationError:
        return False
    return True


def test_a_year_and_a_half_of_renewals() -> None:
    """At any time a client that read the bundle at most an hour ago trusts the server."""
    certificates, now = Certificates([NAME], NOW), NOW
    bundles: list[tuple[datetime, tuple[str, ...]]] = []
    seen, servers = set(certificates.authorities), {certificates.server.pem}
    while now < NOW + timedelta(days=550):
        renewed = certificates.renew(now)
        assert renewed == (certificates.server.pem not in servers)
        servers.add(certificates.server.pem)
        seen.update(certificates.authorities)
        bundles.append((now, certificates.authorities))
        assert 1 <= len(certificates.authorities) <= 3
        assert all(trusts(known, certificates, now) for read, known in bundles[-3:] if now - read < SPREADING)
        now += (
            timedelta(minutes=25)
            if len(certificates.authorities) > 1 and now.day % 9 == 0
            else timedelta(hours=7)
        )
    assert len(seen) == 3
    assert 550 / 20 - 3 < len(servers) < 550 / 20 + 5  # two thirds of 30 days


def test_a_stranger_is_not_trusted() -> None:
    ours, others = Certificates([NAME], NOW), Certificates([NAME], NOW)
    assert trusts(ours.authorities, ours, NOW)
    assert not trusts(others.authorities, ours, NOW)
    assert not trusts(ours.authorities, Certificates(["elsewhere.svc"], NOW), NOW)
    assert not trusts(ours.authorities, ours, NOW + CERTIFICATE_LIFE + timedelta(seconds=1))


def test_bundles_keep_the_authorities_before() -> None:
    first, second, third, fourth = (make_authority(NOW).pem for _ in range(4))
    expired = make_authority(NOW - timedelta(days=400)).pem
    assert bundle([first], "", NOW) == first
    assert bundle([second], first, NOW) == second + first
    assert bundle([third], bundle([second], first, NOW), NOW) == third + second + first
    assert bundle([fourth], third + second + first, NOW) == fourth + third + second
    assert PREVIOUS == 2
    assert bundle([second], expired + first + second, NOW) == second + first
    assert bundle([second], "junk", NOW) == second


def test_a_certificate_is_loaded_without_a_file_on_disk() -> None:
    context = server_context()
    certificates = Certificates(["127.0.0.1", NAME], NOW)
    load(context, certificates.server)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    names = certificates.server.certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_the_host_of_an_address() -> None:
    assert host_of(f"https://{NAME}:8443") == NAME
    assert host_of("https://[::1]:8443") == "::1"
    with pytest.raises(ValueError, match="HOST:PORT"):
        host_of("xstilts")
