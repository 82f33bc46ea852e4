"""What is in the database is of no use without the key-encryption key, nor in another row."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.device_key import DeviceKey
from gateway.key_wrapping import (
    FILE_SETTING,
    SETTING,
    BadKeyEncryptionKey,
    CannotUnwrap,
    KeyWrapping,
    Wrapped,
    new_key_encryption_key,
)

OLD, NEW = new_key_encryption_key("old"), new_key_encryption_key("new")
NUMBERS = st.integers(1, 2**31 - 1)


@given(NUMBERS, st.integers(1, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_what_was_wrapped_is_unwrapped(device_no: int, key_no: int, secret: bytes) -> None:
    wrapping = KeyWrapping.parse(NEW)
    wrapped = wrapping.wrap(DeviceKey(key_no, secret), device_no=device_no)
    assert secret not in wrapped.sealed
    assert wrapping.unwrap(wrapped, device_no=device_no, key_no=key_no) == DeviceKey(key_no, secret)


def test_a_row_moved_to_another_device_or_number_is_refused() -> None:
    wrapping = KeyWrapping.parse(NEW)
    wrapped = wrapping.wrap(DeviceKey(1, bytes(32)), device_no=7)
    for device_no, key_no in ((8, 1), (7, 2)):
        with pytest.raises(CannotUnwrap):
            wrapping.unwrap(wrapped, device_no=device_no, key_no=key_no)


@given(st.integers(0, 12 + 32 + 16 - 1))
def test_any_changed_byte_is_noticed(place: int) -> None:
    wrapping = KeyWrapping.parse(NEW)
    wrapped = wrapping.wrap(DeviceKey(1, bytes(32)), device_no=7)
    changed = bytearray(wrapped.sealed)
    changed[place] ^= 1
    with pytest.raises(CannotUnwrap):
        wrapping.unwrap(Wrapped(wrapped.by, bytes(changed)), device_no=7, key_no=1)


def test_the_same_secret_never_looks_the_same_twice() -> None:
    wrapping = KeyWrapping.parse(NEW)
    key = DeviceKey(1, bytes(32))
    assert len({wrapping.wrap(key, device_no=1).sealed for _ in range(100)}) == 100


def test_one_key_encryption_key_follows_another() -> None:
    key = DeviceKey(3, b"k" * 32)
    before = KeyWrapping.parse(OLD).wrap(key, device_no=1)
    both = KeyWrapping.parse(f"{NEW}, {OLD}")
    after = both.rewrap(before, device_no=1, key_no=3)
    assert (before.by, after.by) == ("old", "new")
    assert KeyWrapping.parse(NEW).unwrap(after, device_no=1, key_no=3) == key
    with pytest.raises(CannotUnwrap, match="not among"):
        KeyWrapping.parse(NEW).unwrap(before, device_no=1, key_no=3)


@pytest.mark.parametrize(
    "text",
    ["", "x", "a:", f"{NEW},", NEW[4:], "a b:" + NEW[4:], NEW[:-8], f"{NEW},{NEW}", "a:" + "!" * 44],
    # Two processes that share the tests must give them the same names, and the key is another in each.
    ids=range(9),
)
def test_a_wrong_setting_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadKeyEncryptionKey, match="latchkey key new") as refused:
        KeyWrapping.parse(text)
    assert not text or text not in str(refused.value)


def test_it_comes_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    path.write_text(NEW + "\n")
    assert KeyWrapping.from_environment({SETTING: NEW}) == KeyWrapping.from_environment(
        {FILE_SETTING: str(path)}
    )
    for wrong in ({}, {SETTING: NEW, FILE_SETTING: str(path)}, {FILE_SETTING: str(tmp_path / "absent")}):
        with pytest.raises(BadKeyEncryptionKey):
            KeyWrapping.from_environment(wrong)


def test_no_representation_shows_a_key() -> None:
    wrapping = KeyWrapping.parse(NEW)
    assert NEW[4:] not in repr(wrapping)
    assert repr(wrapping.keys["new"]) not in repr(wrapping)


def test_a_name_that_cannot_be_an_id_makes_no_key() -> None:
    with pytest.raises(ValueError, match="a:b"):
        new_key_encryption_key("a:b")
