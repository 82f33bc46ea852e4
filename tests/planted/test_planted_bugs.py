"""Tests that cannot fail prove nothing: with each classic mistake put in, the test that is named turns red."""

import pytest

from cli.stack import CHECKOUT
from tests.planted.command_plants import COMMAND_PLANTS
from tests.planted.conftest import must_be_noticed
from tests.planted.nursery import Nursery
from tests.planted.plant import Plant
from tests.planted.plants import PLANTS


@pytest.mark.parametrize("plant", PLANTS, ids=[plant.name for plant in PLANTS])
def test_a_planted_mistake_is_found(planted: Nursery, plant: Plant) -> None:
    must_be_noticed(planted, plant)


def test_every_plant_has_a_name_of_its_own_and_a_test_that_exists() -> None:
    every = (*PLANTS, *COMMAND_PLANTS)
    assert len({plant.name for plant in every}) == len(every)
    for plant in every:
        path, _, name = plant.test.partition("::")
        assert (CHECKOUT / path).exists(), plant.test
        name = name.partition("::")[0]
        source = (CHECKOUT / path).read_text()
        assert f"def {name}(" in source or f"{name} = " in source, plant.test
