"""Every `./latchkey VERB SUBVERB` that a document names is there to be typed."""

import re
from pathlib import Path

from typer.testing import CliRunner

from bench.faults.trials import TRIALS
from cli.bench import Subject
from cli.main import VERBS, application

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = (".git", ".latchkey", ".venv", "node_modules")
_NAMED = re.compile(r"(?:\./latchkey|`latchkey|latchkey:local)((?: [a-z][a-z-]*)+)")
"""The words after it, up to a name in capitals, an option, a path or the end of the code: `device quarantine replay`.
Words of the sentence may follow where no backtick ends it; a verb without verbs of its own does not mind."""


def named() -> dict[tuple[str, ...], str]:
    """The words, and a document that says them."""
    documents = [path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.md"))]
    return {
        tuple(words.split()): str(document)
        for document in documents
        if not set(OUTSIDE) & set(document.parts)
        for words in _NAMED.findall((ROOT / document).read_text())
    }


def test_every_verb_in_the_documents_exists_and_so_do_its_subverbs() -> None:
    app, said = application(VERBS), named()
    assert {("demo",), ("device", "ca", "init"), ("device", "quarantine", "replay")} <= said.keys()
    # Asked for help, a verb that exists answers 0, whatever follows it; one that does not is an error of usage.
    missing = {
        f"{document}: {' '.join(words)}"
        for words, document in said.items()
        if CliRunner().invoke(app, [*words, "--help"]).exit_code != 0
    }
    assert missing == set()


def test_every_benchmark_and_every_fault_trial_in_the_documents_exists() -> None:
    known = {"bench": {str(subject) for subject in Subject}, "chaos": {trial.name for trial in TRIALS}}
    said = {(words[0], words[1]) for words in named() if len(words) > 1 and words[0] in known}
    assert len(said) > len(Subject)
    assert {pair for pair in said if pair[1] not in known[pair[0]]} == set()
