import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INDEX_OPTION = re.compile(r"--(extra-)?index-url|--find-links|--trusted-host")
NPM_REGISTRY = re.compile(r"^\s*registry\s*=", re.MULTILINE)
RESOLVED_ADDRESS = re.compile(r'"resolved":\s*"[a-z+]+:')
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(home|Users)/[a-z]|(?<![\w.$}])/(root|work)/")
BINARY = frozenset({".png", ".jpg", ".gif", ".ico", ".woff", ".woff2", ".gz", ".pbf", ".webp"})


def committed() -> list[Path]:
    said = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = [ROOT / name for name in said.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def mentions(pattern: re.Pattern[str], paths: list[Path]) -> dict[str, str]:
    found = {}
    for path in paths:
        match = pattern.search(path.read_text(errors="replace"))
        if match is not None and path != Path(__file__):
            found[path.relative_to(ROOT).as_posix()] = match[0]
    return found


def test_no_file_names_where_packages_come_from() -> None:
    # The header of the lock says with which options it was made, not where from.
    assert (
        mentions(INDEX_OPTION, [path for path in committed() if not path.match("requirements*.lock")]) == {}
    )
    locks = [path for path in committed() if path.match("requirements*.lock")]
    assert locks
    assert mentions(re.compile(r"^[^#]*https?://", re.MULTILINE), locks) == {}
    npm_locks = [path for path in committed() if path.name == "package-lock.json"]
    assert mentions(RESOLVED_ADDRESS, npm_locks) == {}


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert mentions(MACHINE_PATH, committed()) == {}


def test_every_locked_package_has_a_version_and_a_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line for line in lock.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) > 30
    assert [line for line in lines if "==" not in line.split()[0] or "--hash=sha256:" not in line] == []


def test_every_direct_dependency_is_locked() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=\[;]", line)[0].strip().lower() for line in wanted}
    locked = set(
        re.findall(
            r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", (ROOT / "requirements.lock").read_text(), re.MULTILINE
        )
    )
    assert names <= locked | {name.replace("_", "-") for name in locked}
