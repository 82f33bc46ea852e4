"""The way from plain PostgreSQL to TimescaleDB that docs/history.md gives to people, walked as it stands there."""

import re
import subprocess

from cli.servers.postgres_program import find_postgres
from cli.stack import CHECKOUT, Stack
from gateway.stores.audit import Intact, verify_audit
from gateway.stores.migrate import migrate
from tests.support.stored import ask

PAGE = CHECKOUT / "docs" / "history.md"
TABLES = (
    "operator",
    "device_model",
    "device",
    "device_key",
    "api_key",
    "person",
    "report",
    "command",
    "audit",
)


def recipe() -> str:
    """Its first command, as a shell reads it."""
    found = re.search(r"^    pg_dump (?:.*\\\n)*.*$", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    return found[0]


def fill(dsn: str) -> None:
    """A row or two of everything that nobody could make again."""
    for statement in (
        "insert into operator (operator_id, name) values (2, 'second')",
        "insert into device_model (model, operator_id, kind, heartbeat_s, quiet_after_s, lost_after_s, battery_low_pct,"
        " slot_count, auto_register, crs) values ('m', 2, 1, 60, 150, 600, 15, 0, false, 1)",
        "insert into device (device_id, model, operator_id, public_id, marker, shard, status)"
        " values ('bike-1', 'm', 2, 'public-id-of-it', 123456789, 3, 2)",
        "insert into device_key (device_no, key_no, operator_id, wrapped_by, wrapped)"
        " select device_no, 1, 2, 'k1', '\\x00' from device",
        "insert into person (person_id, operator_id, wechat_hash) values ('u5xk3v2q7m4a6b2c3d4e', 2, sha256('x'))",
        "insert into report (device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, frame)"
        " select device_no, 2, 0, 1, now(), now(), false, false, '{}' from device",
        "select audit_append(2, 'console:me', 'console', 'device_register', 'device:bike-1', '', null, '{}')",
    ):
        ask(dsn, statement)


def test_everything_arrives_and_the_audit_log_is_whole(stack: Stack, empty_database: str) -> None:
    old, new = empty_database, stack.postgres.create_database()
    try:
        migrate(old, "off")
        migrate(new, "require" if stack.postgres.timescale else "off")
        fill(old)
        command = recipe().replace("OLD_DSN", f"'{old}'").replace("NEW_DSN", f"'{new}'")
        programs = find_postgres().bin_dir
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            env={"PATH": f"{programs}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for table in TABLES:
            question = f"select to_jsonb({table}) from {table} order by 1"
            assert ask(new, question) == ask(old, question), table
        assert verify_audit(new) == verify_audit(old)
        assert isinstance(verify_audit(new), Intact)
    finally:
        stack.postgres.drop_database(new)
