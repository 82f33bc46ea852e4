"""Every wrong line of a list is named, and none is guessed at."""

from pathlib import Path

import pytest

from cli.import_list import BadList, Defaults, read_list
from gateway.core.device import Status

MODELS, OPERATORS = frozenset({"m", "n"}), frozenset({1, 2})


def read(path: Path, text: str, **defaults: object) -> list[tuple[int, str]]:
    """The faults."""
    path.write_text(text)
    listed = read_list(path, Defaults(**defaults), MODELS, OPERATORS)  # type: ignore[arg-type]  # by name
    return [(fault.line, fault.reason) for fault in listed.faults]


def test_a_line_says_all_or_leaves_it_to_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("\ufeffdevice_id,model,operator_id,password,lat,lon\na,,,,,\nb,n,2,pw,-1.5,22.25\n")
    listed = read_list(path, Defaults("m", 1, Status.REGISTERED), MODELS, OPERATORS)
    first, second = listed.entries
    assert (first.line, first.device.model, first.device.operator_id) == (2, "m", 1)
    assert first.device.status is Status.REGISTERED
    assert first.device.home_lat_e7 is None
    assert (second.device.model, second.device.operator_id, second.password) == ("n", 2, "pw")
    assert (second.device.home_lat_e7, second.device.home_lon_e7) == (-15_000_000, 222_500_000)
    assert listed.faults == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("has space,m,1,,,", "has space"),
        ("lk-x,m,1,,,", "lk-x"),
        ("a,x,1,,,", "no model 'x'"),
        ("a,,1,,,", "names no model"),
        ("a,m,9,,,", "no operator 9"),
        ("a,m,one,,,", "'one' is no operator"),
        ("a,m,1,,91,0", "out of range"),
        ("a,m,1,,nan,0", "out of range"),
        ("a,m,1,,5,", "belong together"),
        ("a,m,1,,x,y", "no degrees"),
        ("a,m,1", "number of columns"),
        ("a,m,1,,,,", "number of columns"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    faults = read(
        tmp_path / "l", f"device_id,model,operator_id,password,lat,lon\nok,m,1,,,\n{line}\nok2,m,1,,,\n"
    )
    assert len(faults) == 1
    assert faults[0][0] == 3
    assert reason in faults[0][1]


def test_a_device_that_stands_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    assert read(tmp_path / "l", "device_id\na\nb\na\n", model="m") == [(4, "a stands in line 2 already")]


@pytest.mark.parametrize("text", ["", "id\na\n", "device_id,colour\na,red\n", '"device_id\n'])
def test_what_is_no_list_is_refused_whole(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadList):
        read(tmp_path / "l", text, model="m")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.write_bytes(b"device_id\n\xff\xfe\n")
    with pytest.raises(BadList, match="UTF-8"):
        read_list(path, Defaults("m"), MODELS, OPERATORS)
