"""The shape of the code: sizes of files and functions, words in names, a mirror test per module."""

import ast
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

PACKAGES = ("firmware_protocol", "geo", "gateway", "api", "device_sim", "cli", "bench")
MIRRORED = tuple(package for package in PACKAGES if package != "bench")
"""A measurement checks itself: it compares every row before a figure counts."""
FORBIDDEN_WORDS = ("Manager", "Handler", "Service", "Processor", "Helper", "Util", "Data", "Info", "Base")
"""Words that say nothing about the field."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures of `[tool.latchkey.shape]`."""

    file_lines: int
    function_lines: int
    function_lines_nine_in_ten: int
    positional_parameters: int


@dataclass(frozen=True, slots=True)
class Allowed:
    """One exception: what is allowed, why, and until when somebody must have mended it."""

    path: str
    rule: str
    reason: str
    until: date


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what} [{self.rule}]"


def read_rules(pyproject: Path) -> tuple[Limits, list[Allowed]]:
    """What pyproject.toml says."""
    table = tomllib.loads(pyproject.read_text())["tool"]["latchkey"]["shape"]
    allowed = [Allowed(**line) for line in table.pop("exceptions")]
    return Limits(**table), allowed


def findings(root: Path, limits: Limits) -> list[Finding]:
    """Everything in the checkout that breaks a rule, exceptions not yet applied."""
    found: list[Finding] = []
    lengths: list[int] = []
    for path in python_files(root, (*PACKAGES, "tests")):
        name = path.relative_to(root).as_posix()
        text = path.read_text()
        module = ast.parse(text)
        functions = list(_functions(module))
        lengths += [_length(function) for function in functions]
        found += _file_findings(name, text, module, limits)
        for function in functions:
            found += _function_findings(name, function, limits)
    found += missing_mirrors(root)
    found += _nine_in_ten(lengths, limits)
    return found


def judge(found: Iterable[Finding], allowed: Iterable[Allowed], today: date) -> list[str]:
    """What must be mended: findings that nothing allows, and exceptions that are over or no longer needed."""
    found = list(found)
    allowed = list(allowed)
    valid = {(one.path, one.rule) for one in allowed if one.until >= today}
    complaints = [str(one) for one in found if (one.path, one.rule) not in valid]
    needed = {(one.path, one.rule) for one in found}
    for one in allowed:
        if (one.path, one.rule) not in needed:
            complaints.append(f"{one.path}: the exception for [{one.rule}] is no longer needed")
        elif one.until < today:
            complaints.append(f"{one.path}: the exception for [{one.rule}] ended on {one.until}")
    return complaints


def python_files(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    """Every module of these folders, in order."""
    for folder in folders:
        yield from sorted((root / folder).rglob("*.py"))


def missing_mirrors(root: Path) -> list[Finding]:
    """Modules without a test of their own: tests/unit/<path>/test_<name>.py, or tests/contract for a store."""
    found = []
    for path in python_files(root, MIRRORED):
        module = path.relative_to(root)
        if module.name in ("__init__.py", "__main__.py") or _only_declares(ast.parse(path.read_text())):
            continue
        places = [root / "tests" / "unit" / module.parent / f"test_{module.name}"]
        if module.parts[:2] == ("gateway", "stores"):
            places.append(root / "tests" / "contract" / f"test_{module.name}")
        if not any(place.exists() for place in places):
            wanted = places[-1].relative_to(root).as_posix()
            found.append(Finding(module.as_posix(), "mirror", f"has no {wanted}"))
    return found


def _only_declares(module: ast.Module) -> bool:
    """True when nothing can go wrong in it: functions of one line, constructors that only keep what they are given."""
    return all(
        len(_code(function)) <= (3 if function.name == "__init__" else 1) for function in _functions(module)
    )


def _code(function: Function) -> list[ast.stmt]:
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1:] if documented else function.body


def _functions(module: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(module) if isinstance(node, Function))


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _file_findings(name: str, text: str, module: ast.Module, limits: Limits) -> Iterator[Finding]:
    lines = text.count("\n")
    if lines > limits.file_lines:
        yield Finding(name, "file_lines", f"{lines} lines, at most {limits.file_lines}")
    if not ast.get_docstring(module) and text.strip() and not name.startswith("tests/"):
        yield Finding(name, "docstring", "no sentence names this file")
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            for word in FORBIDDEN_WORDS:
                if node.name.endswith(word):
                    yield Finding(name, "words", f"class {node.name} says {word}")


def _function_findings(name: str, function: Function, limits: Limits) -> Iterator[Finding]:
    length = _length(function)
    if length > limits.function_lines:
        yield Finding(
            name, "function_lines", f"{function.name} has {length} lines, at most {limits.function_lines}"
        )
    arguments = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    count = len([argument for argument in arguments if argument not in ("self", "cls")])
    # A test's parameters are fixtures, taken by name.
    if count > limits.positional_parameters and not name.startswith("tests/"):
        what = f"{function.name} takes {count} positional parameters, at most {limits.positional_parameters}"
        yield Finding(name, "positional_parameters", what)


def _nine_in_ten(lengths: list[int], limits: Limits) -> Iterator[Finding]:
    long = sum(length > limits.function_lines_nine_in_ten for length in lengths)
    if long * 10 > len(lengths):
        what = f"{long} of {len(lengths)} functions are longer than {limits.function_lines_nine_in_ten} lines"
        yield Finding("everywhere", "function_lines_nine_in_ten", what)
