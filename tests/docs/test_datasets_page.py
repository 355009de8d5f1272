"""The page of the data sets: it is fresh, and tells of each set where it comes from and what was made up."""

from pathlib import Path

import pytest
from docs import datasets
from ml_pipelines.datasets import DATA_SETS

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"


def test_it_is_fresh():
    assert PAGE.read_text() == datasets.page(), "docs/datasets.md is stale: `make docs` writes it anew"


@pytest.mark.parametrize("name", DATA_SETS)
def test_each_set_has_a_section_with_all_that_is_known_of_it(name):
    section = PAGE.read_text().partition(f"## {name}\n")[2].partition("\n## ")[0]
    data_set = DATA_SETS[name]
    for fact in (data_set.sentence, data_set.license, data_set.mapping, data_set.made_up, data_set.limits):
        assert fact in section
