"""What a private server's failure tells a person to do."""

import shlex
from pathlib import Path

from cli.servers.errors import StaleFolder


def test_a_folder_with_a_space_is_one_word_of_the_command_that_removes_it() -> None:
    said = str(StaleFolder(Path("/srv/my bikes/up"), "belongs to another user"))
    assert shlex.split(said.partition("run: ")[2]) == ["sudo", "rm", "-rf", "/srv/my bikes/up"]
