"""With each classic mistake of commands, logins and the audit log put in, the test that is named turns red."""

import pytest

from tests.planted.command_plants import COMMAND_PLANTS
from tests.planted.conftest import must_be_noticed
from tests.planted.nursery import Nursery
from tests.planted.plant import Plant


@pytest.mark.parametrize("plant", COMMAND_PLANTS, ids=[plant.name for plant in COMMAND_PLANTS])
def test_a_planted_mistake_is_found(planted: Nursery, plant: Plant) -> None:
    must_be_noticed(planted, plant)
