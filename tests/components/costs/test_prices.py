"""The table of prices: each is dated, sourced and used, and there is no other."""

import re
from pathlib import Path

import pytest
from ml_blueprints import sizing
from ml_blueprints.costs import prices

COMPONENTS = Path(prices.__file__).parents[1]
PRICES = [(cloud, name, price) for cloud, table in prices.TABLES.items() for name, price in table.items()]


@pytest.mark.parametrize(("cloud", "name", "price"), PRICES, ids=lambda value: value if isinstance(value, str) else "")
def test_each_price_has_a_unit_a_place_a_day_and_a_source(cloud, name, price):
    assert price.usd > 0
    assert price.unit
    assert price.source.place
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", price.source.day)
    assert price.source.day <= prices.READ
    assert price.source.url.startswith("https://")


@pytest.mark.parametrize("cloud", prices.TABLES)
def test_each_price_is_used(cloud):
    module = (COMPONENTS / "costs" / f"{cloud}.py").read_text()
    machines = {instance.type for instance in sizing.INSTANCES[cloud].values()}
    # Machines and sizes are looked up by the name that a resource gives.
    looked_up = {
        name for name in prices.TABLES[cloud] if name.startswith(("Standard_", "Balanced_", "api management "))
    }
    for name in prices.TABLES[cloud].keys() - machines - looked_up:
        assert f'"{name}"' in module, name


def test_instances_have_the_prices_of_the_table():
    for cloud, instances in sizing.INSTANCES.items():
        for instance in instances.values():
            assert instance.hourly_usd == prices.TABLES[cloud][instance.type].usd
