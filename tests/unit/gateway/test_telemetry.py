"""Metrics and log events of the gateway."""

import json

import pytest
import structlog

from gateway import telemetry
from tests.support.plain_logs import log_plainly


def test_logs_are_json_lines_from_the_level_on(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logs("WARNING")
    try:
        log = structlog.get_logger()
        log.info("not_shown")
        log.warning("store_lost", store="redis")
    finally:
        log_plainly()
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["store"], event["level"]) == ("store_lost", "redis", "warning")
    assert event["at"].endswith("Z")


def test_every_metric_has_a_prefix_and_no_device_in_its_labels() -> None:
    for metric in telemetry.REGISTRY.collect():
        assert metric.name.startswith(("latchkey_", "process_", "python_")), metric.name
        for sample in metric.samples:
            assert not {"device", "device_id", "topic"} & sample.labels.keys()


def test_an_exception_is_logged_without_the_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logs("INFO")
    try:
        password = "correct-horse"
        try:
            raise LookupError(str(len(password)))
        except LookupError:
            structlog.get_logger().exception("batch_failed")
    finally:
        log_plainly()
    line = capsys.readouterr().err
    assert "LookupError" in line
    assert password not in line
