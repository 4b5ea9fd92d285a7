"""Certificates, made and followed by others as time goes on."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from muster_integrations.admission.certificates import (
    Certificate,
    Certificates,
    bundle,
    make_certificate,
    next_change,
    renewed,
    served,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
LIFE = timedelta(hours=30)
HOST = "integrations.muster.svc"


def hours(count: float) -> datetime:
    return START + timedelta(hours=count)


def verify(certificate: Certificate, trusted: bytes, host: str, moment: datetime) -> None:
    """Do as a client does that trusts a bundle. Raises VerificationError."""
    store = Store(x509.load_pem_x509_certificates(trusted))
    verifier = PolicyBuilder().store(store).time(moment).build_server_verifier(x509.DNSName(host))
    verifier.verify(x509.load_pem_x509_certificate(certificate.chain_with_key), [])


def test_a_certificate_is_good_for_its_host_while_it_lives() -> None:
    made = make_certificate(HOST, START, LIFE)
    verify(made, made.authority, HOST, hours(29))
    for host, moment in (("another.muster.svc", hours(1)), (HOST, hours(31))):
        with pytest.raises(VerificationError):
            verify(made, made.authority, host, moment)


def test_nobody_else_s_authority_vouches_for_it() -> None:
    made, other = make_certificate(HOST, START, LIFE), make_certificate(HOST, START, LIFE)
    with pytest.raises(VerificationError):
        verify(made, other.authority, HOST, hours(1))


def test_an_address_is_a_host_too() -> None:
    made = x509.load_pem_x509_certificate(make_certificate("127.0.0.1", START, LIFE).chain_with_key)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_successor_is_trusted_before_it_is_served_and_its_predecessor_until_it_ends() -> None:
    first = renewed((), HOST, START, LIFE)
    assert served(first, START) is first[0]
    assert renewed(first, HOST, hours(19), LIFE) == first
    both = renewed(first, HOST, hours(20), LIFE)
    assert both[0] is first[0]
    assert served(both, hours(20)) is first[0]
    assert served(both, hours(20.5)) is both[1]
    assert renewed(both, HOST, hours(29), LIFE) == both
    assert renewed(both, HOST, hours(30), LIFE) == both[1:]


def test_whoever_slept_through_everything_begins_anew() -> None:
    first = renewed((), HOST, START, LIFE)
    later = renewed(first, HOST, hours(500), LIFE)
    assert len(later) == 1
    assert served(later, hours(500)).ends_at == hours(530)


def test_at_every_moment_what_is_served_is_vouched_for_by_what_was_trusted_a_moment_before() -> None:
    trusted: Certificates = ()
    now, before = START, b""
    while now < hours(200):
        trusted = renewed(trusted, HOST, now, LIFE)
        verify(served(trusted, now), before or bundle(trusted), HOST, now)
        assert next_change(trusted, now) > now
        before, now = bundle(trusted), next_change(trusted, now)
