"""The order in which the workers take the files of a run, those of tests/page too: what takes longest comes first, so
that no one is left with it."""

import pytest

LONGEST_FIRST = (
    "test_gateway_faults",
    "test_demo",
    "test_api_schema",
    "test_conversation",
    "test_page_on_the_line",
    "test_unlock_line",
    "test_broker_export",
    "test_api_crowd",
    "test_api_stale",
    "test_api_live",
    "test_up",
    "test_sim_audit",
    "test_unlock_without_redis",
    "test_bench",
    "test_unlock_takeover",
    "test_unlock_network",
    "test_api_people",
    "test_unlock_town",
    "test_secrets",
    "test_units",
    "test_unlock_away",
    "test_gateway_reports",
    "test_unlock_audit",
    "test_gateway_replay",
)
"""Of those that take more than a tenth of the time of the first; the others follow by name. A worker that
has two tests left is given its next file: files of one or two tests are bound early, and go before longer ones."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
