"""A private certificate authority for devices: its key and certificate, what it signs, and the list of what it took
back. P-256 and SHA-256 throughout."""

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.stores.certificates import Revoked

CA_LASTS = timedelta(days=20 * 365)
DEVICE_LASTS = timedelta(days=10 * 365)
"""As long as the hardware: what takes a certificate back is the list, and nobody climbs a pole to renew one."""
SERVER_LASTS = timedelta(days=825)
LIST_LASTS = timedelta(days=10 * 365)
"""A broker refuses everybody whose list is too old; how fresh it is comes from its export within seconds."""
CLOCKS_DIFFER_BY = timedelta(minutes=10)

KEY_NAME, CERTIFICATE_NAME = "ca.key", "ca.crt"
SERVER_KEY_NAME, SERVER_CERTIFICATE_NAME = "server.key", "server.crt"
LIST_NAME = "devices.crl"

BROKER_NAME = "Latchkey broker"
"""The common name of a broker whose own is too long for one: clients check the alternative names."""
COMMON_NAME_BYTES = 64
HOST_CHARS = 253
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")


class CaRefused(Exception):
    """What was asked of the authority cannot be done; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and, where it was made here, its private key; both PEM."""

    certificate: bytes
    key: bytes
    serial: int
    not_before: datetime
    not_after: datetime


class CertificateAuthority:
    """One folder: `ca.key` stays where it is, `ca.crt` goes to brokers and devices."""

    def __init__(self, folder: Path) -> None:
        """Raises CaRefused where there is none."""
        self.folder = folder
        try:
            key = serialization.load_pem_private_key((folder / KEY_NAME).read_bytes(), None)
            self.certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_NAME).read_bytes())
        except (OSError, ValueError) as error:
            raise CaRefused(
                f"no certificate authority in {folder} ({type(error).__name__}): ./latchkey device ca init"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CaRefused(f"{folder / KEY_NAME} is no key on an elliptic curve")
        self._key = key

    @classmethod
    def make(cls, folder: Path, name: str, now: datetime) -> "CertificateAuthority":
        """A new one, or a certificate for the key of one that was ended before it had any. Raises CaRefused where
        there is one already."""
        subject = _name(name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / CERTIFICATE_NAME).exists():
            raise CaRefused(f"{folder} has a certificate authority already; it would be lost")
        key = _first_key(folder / KEY_NAME)
        builder = _builder(subject, subject, key.public_key(), now=now, lasts=CA_LASTS)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        replace(folder / CERTIFICATE_NAME, certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder)

    def issue(self, device_id: str, now: datetime, *, request: bytes = b"") -> Issued:
        """For a device, whose id becomes the common name; with a signing request its private key never leaves it.
        Raises CaRefused for a request that is none, or whose signature is wrong."""
        key = None if request else ec.generate_private_key(ec.SECP256R1())
        public = _requested(request) if key is None else key.public_key()
        certificate = self._sign(device_id, public, now, DEVICE_LASTS, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
        return _issued(certificate, key)

    def server(self, hosts: Sequence[str], now: datetime) -> Issued:
        """For the broker, under these names or addresses. Raises CaRefused for what is neither."""
        names = [_host(host) for host in hosts]
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            hosts[0] if len(hosts[0]) <= COMMON_NAME_BYTES else BROKER_NAME,
            key.public_key(),
            now,
            SERVER_LASTS,
            usage=ExtendedKeyUsageOID.SERVER_AUTH,
            names=names,
        )
        return _issued(certificate, key)

    def revoked(self, number: int, revoked: Sequence[Revoked], now: datetime) -> str:
        """The signed list in PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - CLOCKS_DIFFER_BY)
            .next_update(now + LIST_LASTS)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_authority(self.certificate), critical=False)
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.at)
            builder = builder.add_revoked_certificate(entry.build())
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def _sign(
        self,
        name: str,
        public: ec.EllipticCurvePublicKey,
        now: datetime,
        lasts: timedelta,
        *,
        usage: x509.ObjectIdentifier,
        names: Sequence[x509.GeneralName] = (),
    ) -> x509.Certificate:
        builder = (
            _builder(_name(name), self.certificate.subject, public, now=now, lasts=lasts)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_authority(self.certificate), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def write_new(path: Path, content: bytes) -> None:
    """For its owner only. Raises FileExistsError: what is there may be in use."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def replace(path: Path, content: bytes) -> None:
    """In one step, for its owner only."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    write_new(fresh, content)
    fresh.replace(path)


def now() -> datetime:
    """The machine's clock, in whole seconds as certificates have them."""
    return datetime.now(UTC).replace(microsecond=0)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    *,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER_BY)
        .not_valid_after(now + lasts)
    )


def _issued(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> Issued:
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM),
        b"" if key is None else _private(key),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _requested(request: bytes) -> ec.EllipticCurvePublicKey:
    try:
        asked = x509.load_pem_x509_csr(request)
    except ValueError as error:
        raise CaRefused("the signing request is none in PEM") from error
    public = asked.public_key()
    if not asked.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
        raise CaRefused("the signing request must be signed by its own key, on an elliptic curve")
    return public


def _first_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A new key, or the one of a run that was ended before it had signed anything. Raises CaRefused."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        write_new(path, _private(key))
        return key
    except FileExistsError:
        pass
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except ValueError as error:
        raise CaRefused(
            f"{path} is no whole key, and no certificate says that anything was signed with it: remove it, and repeat"
        ) from error
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise CaRefused(f"{path} is no key on an elliptic curve")
    return found


def _name(common_name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError as error:
        raise CaRefused(
            f"a certificate is given to a name of 1 to {COMMON_NAME_BYTES} bytes, not to {common_name!r}"
        ) from error


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if len(host) > HOST_CHARS or not _HOST.fullmatch(host):
        raise CaRefused(
            f"{host!r} is no name of a host, and no address; one with other letters is written as xn--…"
        )
    return x509.DNSName(host)


def _authority(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
