import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = frozenset(
    {
        "asyncio",
        "concurrent",
        "http",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "psycopg",
        "random",
        "redis",
        "secrets",
        "select",
        "selectors",
        "signal",
        "socket",
        "ssl",
        "structlog",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
        "uvloop",
        "websockets",
    }
)
PURE_PACKAGES = ("gateway/core", "geo", "firmware_protocol")
PURE_FILES = (
    "gateway/mqtt/session.py",
    "api/live/fleet_view.py",
    "api/live/outbox.py",
    "api/live/session.py",
)
"""Pure outside of the pure packages; a file that moved must be named again here."""
SAYING_SO = ("gateway", "api", "device_sim")
"""Where a file may call itself pure, and is then held to it."""
NEEDS_THE_TYPE_OF_CHANCE = frozenset({"device_sim/movement.py"})
"""Takes a `random.Random` as an argument, which cannot be named without its module."""
TIME_READERS = frozenset({"now", "utcnow", "today"})


def pure_modules() -> list[Path]:
    inside = [path for package in PURE_PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return sorted({*inside, *(ROOT / name for name in PURE_FILES), *self_declared()})


def self_declared() -> Iterator[Path]:
    """Files whose one sentence ends with the word."""
    for package in SAYING_SO:
        for path in (ROOT / package).rglob("*.py"):
            sentence = ast.get_docstring(ast.parse(path.read_text())) or ""
            known = path.relative_to(ROOT).as_posix() in NEEDS_THE_TYPE_OF_CHANCE
            if sentence.rstrip(".").endswith("pure") and not known:
                yield path


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def file_of(module: str) -> Path | None:
    """The file of a module of ours."""
    place = ROOT.joinpath(*module.split("."))
    for candidate in (place.with_suffix(".py"), place / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def reachable(path: Path) -> dict[Path, set[str]]:
    """Every file of ours that `path` imports, directly or not, with the foreign modules each names."""
    seen: dict[Path, set[str]] = {}
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen[current] = set()
        for name in imports_of(current):
            if (ours := file_of(name)) is not None:
                waiting.append(ours)
            else:
                seen[current].add(name.split(".")[0])
    return seen


@pytest.mark.parametrize("path", pure_modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_pure_file_reaches_no_clock_no_chance_no_system_and_no_log(path: Path) -> None:
    guilty = {
        file.relative_to(ROOT).as_posix(): sorted(foreign & FORBIDDEN)
        for file, foreign in reachable(path).items()
        if foreign & FORBIDDEN
    }
    assert guilty == {}


@pytest.mark.parametrize("path", pure_modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_pure_file_awaits_nothing_and_asks_nobody_for_the_time(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    assert not [node.lineno for node in nodes if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)]
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    asks = [
        call.lineno
        for call in calls
        if isinstance(call, ast.Attribute) and call.attr in TIME_READERS and not call_args(call)
    ]
    assert asks == []


def call_args(call: ast.Attribute) -> bool:
    """True for a method of a value we were given, such as `clock.now_ms()`: only the classes of datetime count."""
    return not (isinstance(call.value, ast.Name) and call.value.id in ("datetime", "date"))
