"""mosquitto's password file, written whole."""

from collections.abc import Mapping

from gateway.broker_verifier import verifier


def password_line(username: str, password: str) -> str:
    """One line of the file, without its end."""
    return f"{username}:{verifier(password)}"


def password_file(users: Mapping[str, str]) -> str:
    """The whole file for user name -> password."""
    return "".join(f"{password_line(name, password)}\n" for name, password in users.items())
