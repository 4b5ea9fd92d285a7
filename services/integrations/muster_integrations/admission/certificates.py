"""The certificates under which webhooks are answered, and when a new one takes the place of the old.

Each certificate has an authority of its own, whose key is thrown away as soon as it has signed: nobody can make another
one, and nothing has to be kept secret anywhere but in this process. After a restart there is a new one, which the API
server is told of before it asks.

A successor is made long before its predecessor ends, and is *trusted* first: API servers learn of the new bundle each
in its own time. Only then is it *served*; what came before stays trusted until it ends by itself. Time and lifetime
are arguments.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SLOW_CLOCKS: Final = timedelta(hours=1)  # of API servers, by which a certificate is valid already
_SPREADING: Final = 20  # a twentieth of its life passes before it is served, and no more than:
_LONGEST_SPREADING: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A key with its certificate, and the authority that vouches for it (PEM). Good from `made_at` to `ends_at`."""

    made_at: datetime
    ends_at: datetime
    authority: bytes
    chain_with_key: bytes

    @property
    def served_from(self) -> datetime:
        """When every API server has heard of it."""
        return self.made_at + min((self.ends_at - self.made_at) / _SPREADING, _LONGEST_SPREADING)

    @property
    def renewed_from(self) -> datetime:
        """When its successor is made: after two thirds of its life."""
        return self.made_at + (self.ends_at - self.made_at) * 2 / 3


Certificates = tuple[Certificate, ...]
"""Those that are trusted, oldest first."""


def renewed(trusted: Certificates, host: str, now: datetime, lifetime: timedelta) -> Certificates:
    """Return those to trust from now on: without those that have ended, with a successor if it is time for one."""
    left = tuple(each for each in trusted if each.ends_at > now)
    if left and now < left[-1].renewed_from:
        return left
    return (*left, make_certificate(host, now, lifetime))


def served(trusted: Certificates, now: datetime) -> Certificate:
    """Return the newest that everybody trusts by now; the only one, when there is but one."""
    return next((each for each in reversed(trusted) if each.served_from <= now), trusted[0])


def next_change(trusted: Certificates, now: datetime) -> datetime:
    """Return when another one is to be made or served."""
    moments = (moment for each in trusted[-1:] for moment in (each.served_from, each.renewed_from))
    return min((moment for moment in moments if moment > now), default=now)


def bundle(trusted: Certificates) -> bytes:
    """Return all authorities as one PEM."""
    return b"".join(each.authority for each in trusted)


def make_certificate(host: str, now: datetime, lifetime: timedelta) -> Certificate:
    """Make a certificate for a host (a name or an address), and an authority for it alone."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ends_at = now + lifetime
    authority = _sign(_authority(authority_key, now, ends_at), authority_key)
    certificate = _sign(_serving(host, key, authority, now, ends_at), authority_key)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(
        now, ends_at, authority.public_bytes(Encoding.PEM), private + certificate.public_bytes(Encoding.PEM)
    )


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime, ends_at: datetime) -> x509.CertificateBuilder:
    name = _name(f"Muster admission {now:%Y-%m-%d %H:%M:%S}")
    return (
        _builder(name, name, key, now, ends_at)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _serving(
    host: str, key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, now: datetime, ends_at: datetime
) -> x509.CertificateBuilder:
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(_name("muster-integrations"), authority.subject, key, now, ends_at)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends_at: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLOW_CLOCKS)
        .not_valid_after(ends_at)
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
