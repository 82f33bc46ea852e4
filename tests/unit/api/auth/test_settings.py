"""What is set is whole or refused by its name, and no secret is repeated."""

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from api.auth.settings import WECHAT_URL, AuthSettings
from api.bad_settings import BadSettings

SECRET = "x" * 20 + "canary" + "y" * 20
WECHAT = {
    "LATCHKEY_WECHAT_APP_ID": "wx1",
    "LATCHKEY_WECHAT_SECRET": "canary",
    "LATCHKEY_PERSON_HASH_KEY": SECRET,
    "LATCHKEY_API_JWT_SECRET": SECRET,
}


def read(**environment: str) -> AuthSettings:
    return AuthSettings.from_environment(environment, bound_host="127.0.0.1")


def test_nothing_set_means_keys_only_on_loopback() -> None:
    settings = read()
    assert (settings.secrets, settings.jwks, settings.wechat) == ((), "", None)
    assert settings.doors.is_host("localhost")
    assert settings.rules(lambda: 0.0).keys is None


def test_a_secret_comes_from_the_environment_or_a_file_and_may_be_followed(tmp_path: Path) -> None:
    assert read(LATCHKEY_API_JWT_SECRET=f"{SECRET}, {SECRET[::-1]}").secrets == (
        SECRET.encode(),
        SECRET[::-1].encode(),
    )
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert read(LATCHKEY_API_JWT_SECRET_FILE=str(tmp_path / "secret")).secrets == (SECRET.encode(),)


def test_a_login_with_wechat_needs_all_of_its_settings() -> None:
    whole = read(**WECHAT).wechat
    assert whole is not None
    assert (whole.url, whole.operator_id) == (WECHAT_URL, 1)
    for name in WECHAT.keys() - {"LATCHKEY_WECHAT_APP_ID"}:
        with pytest.raises(BadSettings, match=name):
            read(**{key: value for key, value in WECHAT.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LATCHKEY_API_JWT_SECRET", "canary"),
        ("LATCHKEY_API_JWT_SECRET", ",".join([SECRET] * 5)),
        ("LATCHKEY_API_JWT_SECRET_FILE", "/nowhere/at/all"),
        ("LATCHKEY_API_JWKS", "https://"),
        ("LATCHKEY_API_ORIGINS", "app.example"),
        ("LATCHKEY_API_TRUSTED_PROXIES", "everybody"),
        ("LATCHKEY_WECHAT_OPERATOR_ID", "0"),
        ("LATCHKEY_WECHAT_URL", "ftp://x"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name_alone(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name.removesuffix("_FILE")) as refused:
        read(**(WECHAT | {name: value}))
    assert "canary" not in str(refused.value)


def test_a_key_set_comes_from_a_file_or_later_from_an_address(tmp_path: Path) -> None:
    key = generate_private_key(65537, 2048).public_key()
    path = tmp_path / "keys.json"
    path.write_text(
        json.dumps({"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key)) | {"kid": "a"}]})
    )
    keys = read(LATCHKEY_API_JWKS=str(path)).rules(lambda: 0.0).keys
    assert keys is not None
    assert keys.key("a") is not None
    assert read(LATCHKEY_API_JWKS="https://issuer/keys").rules(lambda: 0.0).keys is not None
    path.write_text("{}")
    with pytest.raises(BadSettings, match="LATCHKEY_API_JWKS"):
        read(LATCHKEY_API_JWKS=str(path)).rules(lambda: 0.0)
