"""The months of a telephone company's customers: what those before the last are made of."""

import numpy as np
import pyarrow.compute as pc
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import sources


@pytest.fixture(scope="module")
def months():
    return datasets.load("churn").log


def test_the_charges_of_a_customer_add_up_to_the_total_of_the_source(months):
    source = sources.read("modeldata", "wa_churn")
    sums = months.group_by("customer_id").aggregate([("monthly_charges", "sum"), ("total_charges", "max")])
    sums = sums.sort_by("customer_id")
    stayed = source["tenure"].to_numpy() > 0
    total = source["total_charges"].to_numpy()[stayed]
    assert np.allclose(sums["monthly_charges_sum"].to_numpy()[stayed], total)
    assert np.allclose(sums["total_charges_max"].to_numpy()[stayed], total)


def test_whoever_left_did_so_in_the_last_month(months):
    left = months.filter(months["churned"])
    assert len(left) == 1869
    assert set(left["event_time"].to_pylist()) == {1_535_759_999_000}


def test_a_month_has_one_end(months):
    ends = pc.unique(months["event_time"]).to_numpy().astype("datetime64[ms]") + np.timedelta64(1, "s")
    assert (ends == ends.astype("datetime64[M]")).all()
    assert len(ends) == 72


def test_months_follow_one_another(months):
    customer = months.filter(pc.equal(months["customer_id"], "customer-0002"))
    assert customer["tenure"].to_pylist() == list(range(1, 35))
