import base64
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from cli.servers.broker_users import password_file, password_line
from gateway.broker_verifier import ITERATIONS, SALT_BYTES


@given(password=st.text(min_size=1, max_size=60))
def test_a_line_holds_the_salted_digest_of_its_password(password: str) -> None:
    user, line = password_line("bike-1", password).split(":")
    _, kind, iterations, salt, digest = line.split("$")
    expected = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), ITERATIONS)
    assert (user, kind, int(iterations)) == ("bike-1", "7", ITERATIONS)
    assert len(base64.b64decode(salt)) == SALT_BYTES
    assert base64.b64decode(digest) == expected


def test_two_lines_of_one_password_differ() -> None:
    assert password_line("a", "same") != password_line("a", "same")


def test_a_file_has_one_line_per_user() -> None:
    lines = password_file({"a": "1", "b": "2"}).splitlines()
    assert [line.split(":")[0] for line in lines] == ["a", "b"]
