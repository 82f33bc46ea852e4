"""The order in which the workers take the files: what takes longest comes first, so that no one is left with it."""

import pytest

LONGEST_FIRST = (
    "test_api_schema",
    "test_page_conversation",
    "test_gateway_faults",
    "test_unlock_line",
    "test_page_on_the_line",
    "test_demo",
    "test_api_live",
    "test_unlock_without_redis",
    "test_broker_export",
    "test_unlock_network",
    "test_sim_audit",
    "test_api_crowd",
    "test_api_stale",
    "test_unlock_away",
    "test_unlock_town",
)
"""Of those that take more than a tenth of the time of the first; the others follow by name."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
