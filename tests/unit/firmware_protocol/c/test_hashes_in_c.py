"""SHA-256 and HMAC of latchkey_sha256.h, by published vectors and beside the standard library."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.firmware_protocol.c.compiled import DeviceInC

FIPS_180_4 = {
    b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
}
MILLION_A = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
]


@pytest.mark.parametrize("message", FIPS_180_4)
def test_sha256_of_fips_180_4(device: DeviceInC, message: bytes) -> None:
    assert device.ask("sha256", 1, f"x{message.hex()}") == [FIPS_180_4[message]]


def test_sha256_of_a_million_times_a(device: DeviceInC) -> None:
    assert device.ask("sha256", 1000, f"x{(b'a' * 1000).hex()}") == [MILLION_A]


@pytest.mark.parametrize(("key", "message", "tag"), RFC_4231)
def test_hmac_of_rfc_4231(device: DeviceInC, key: bytes, message: bytes, tag: str) -> None:
    assert device.ask("hmac", f"x{key.hex()}", f"x{message.hex()}") == [tag]


@given(key=st.binary(max_size=140), message=st.binary(max_size=300))
def test_hashes_agree_with_the_standard_library(device: DeviceInC, key: bytes, message: bytes) -> None:
    assert device.ask("sha256", 1, f"x{message.hex()}") == [hashlib.sha256(message).hexdigest()]
    tag = hmac.digest(key, message, "sha256").hex()
    assert device.ask("hmac", f"x{key.hex()}", f"x{message.hex()}") == [tag]
