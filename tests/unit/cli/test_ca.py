"""The authority signs what devices and the broker need, and nothing for which it was not asked rightly."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from cli.ca import CaRefused, CertificateAuthority, replace, write_new
from gateway.stores.certificates import Revoked

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.make(tmp_path / "ca", "Test devices", NOW)


def common_name(certificate: x509.Certificate) -> str | bytes:
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_device_certificate_carries_its_id_and_verifies(authority: CertificateAuthority) -> None:
    made = authority.issue("bike-1", NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate)
    assert common_name(certificate) == "bike-1"
    assert certificate.serial_number == made.serial
    certificate.verify_directly_issued_by(authority.certificate)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = serialization.load_pem_private_key(made.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert key.public_key() == certificate.public_key()


def test_a_broker_is_known_by_each_of_its_names(authority: CertificateAuthority) -> None:
    made = authority.server(["mqtt.example.org", "203.0.113.7"], NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate)
    verifier = (
        PolicyBuilder()
        .store(Store([authority.certificate]))
        .time(NOW + timedelta(days=1))
        .build_server_verifier(x509.DNSName("mqtt.example.org"))
    )
    assert verifier.verify(certificate, [])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["203.0.113.7"]


def test_with_a_request_the_private_key_stays_where_it_is(authority: CertificateAuthority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = authority.issue("bike-1", NOW, request=request(key))
    certificate = x509.load_pem_x509_certificate(made.certificate)
    assert made.key == b""
    assert certificate.public_key() == key.public_key()
    assert common_name(certificate) == "bike-1", "the name is the registry's, not the request's"


def test_a_request_that_is_none_is_refused(authority: CertificateAuthority) -> None:
    weak = request(rsa.generate_private_key(65537, 2048))
    good = request(ec.generate_private_key(ec.SECP256R1()))
    der = bytearray(x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST").encode()
    for wrong in (b"rubbish", weak, forged):
        with pytest.raises(CaRefused):
            authority.issue("bike-1", NOW, request=wrong)


def test_the_list_names_exactly_what_was_taken_back(authority: CertificateAuthority) -> None:
    serials = [authority.issue("bike-1", NOW).serial for _ in range(3)]
    pem = authority.revoked(7, [Revoked(serials[0], NOW), Revoked(serials[2], NOW)], NOW)
    signed = x509.load_pem_x509_crl(pem.encode())
    public = authority.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert signed.is_signature_valid(public)
    assert {one.serial_number for one in signed} == {serials[0], serials[2]}
    assert signed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    assert signed.next_update_utc is not None
    assert signed.next_update_utc > NOW + timedelta(days=365)


def test_an_authority_is_never_made_over_another_one(authority: CertificateAuthority) -> None:
    with pytest.raises(CaRefused, match="already"):
        CertificateAuthority.make(authority.folder, "again", NOW)
    assert CertificateAuthority(authority.folder).certificate == authority.certificate


def test_a_folder_without_one_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CaRefused, match="ca init"):
        CertificateAuthority(tmp_path)


def test_what_is_secret_is_its_owners_only(authority: CertificateAuthority, tmp_path: Path) -> None:
    replace(tmp_path / "new", b"1")
    replace(tmp_path / "new", b"2")
    for path in (authority.folder / "ca.key", tmp_path / "new"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "new").read_bytes() == b"2"
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "new", b"3")


@pytest.mark.parametrize(
    "host", [f"{'a' * 40}.{'b' * 40}.example.org", "203.0.113.7", "::1", "*.example.org"]
)
def test_a_broker_has_a_certificate_under_any_name_that_a_client_can_check(
    authority: CertificateAuthority, host: str
) -> None:
    certificate = x509.load_pem_x509_certificate(authority.server([host], NOW).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    assert found == [host]
    assert len(common_name(certificate)) <= 64


@pytest.mark.parametrize(
    "host", ["fahrräder.example.org", "mqtt://h", "a b", "", "a..b", "x" * 64, "a." * 126 + "bc"]
)
def test_a_broker_has_no_certificate_under_what_is_no_name(
    authority: CertificateAuthority, host: str
) -> None:
    with pytest.raises(CaRefused, match="is no name of a host"):
        authority.server(["good.example.org", host], NOW)


@pytest.mark.parametrize("name", ["", "x" * 65, "ä" * 40])
def test_a_name_that_no_certificate_can_carry_is_a_sentence(
    authority: CertificateAuthority, tmp_path: Path, name: str
) -> None:
    with pytest.raises(CaRefused, match="1 to 64 bytes"):
        CertificateAuthority.make(tmp_path / "other", name, NOW)
    assert not (tmp_path / "other").exists()
    with pytest.raises(CaRefused, match="1 to 64 bytes"):
        authority.issue(name, NOW)


def test_an_authority_that_was_killed_before_its_certificate_gets_one_for_its_key(
    authority: CertificateAuthority,
) -> None:
    key = (authority.folder / "ca.key").read_bytes()
    (authority.folder / "ca.crt").unlink()
    again = CertificateAuthority.make(authority.folder, "again", NOW)
    assert (authority.folder / "ca.key").read_bytes() == key
    assert again.certificate.public_key() == authority.certificate.public_key()
    x509.load_pem_x509_certificate(again.issue("bike-1", NOW).certificate).verify_directly_issued_by(
        again.certificate
    )


def test_a_key_that_was_cut_off_is_a_sentence_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_bytes(b"-----BEGIN PRIVATE")
    with pytest.raises(CaRefused, match="remove it"):
        CertificateAuthority.make(tmp_path, "again", NOW)


def test_an_authority_without_its_key_is_not_given_another_one(authority: CertificateAuthority) -> None:
    (authority.folder / "ca.key").unlink()
    with pytest.raises(CaRefused, match="already"):
        CertificateAuthority.make(authority.folder, "again", NOW)
    assert not (authority.folder / "ca.key").exists()
