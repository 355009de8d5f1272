"""The generated payments: the same bytes for a seed, statistics within stated bounds, and a drift that is seen."""

import datetime
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from ml_pipelines import datasets
from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.datasets import Request, fraud

HOUR_MS = 3_600_000
FEBRUARY = int(datetime.datetime(2025, 2, 1, tzinfo=datetime.UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def history():
    return datasets.load("fraud-detection", Request(events=200_000, seed=7))


@pytest.fixture(scope="module")
def payments(history):
    """The payments with what became of them, in order of time."""
    return history.log.join(history.labels, "event_id").sort_by(
        [("event_time", "ascending"), ("event_id", "ascending")]
    )


def of(payments: pa.Table, pattern: str) -> pa.Table:
    return payments.filter(pc.equal(payments["pattern"], pattern))


def digest(*tables: pa.Table) -> str:
    """Of what the columns hold, whatever the chunks that they lie in."""
    found = hashlib.sha256()
    for table in tables:
        for name in table.column_names:
            column = table[name]
            if pa.types.is_string(column.type):
                found.update("\n".join(column.to_pylist()).encode())
            else:
                found.update(column.to_numpy().tobytes())
    return found.hexdigest()


def test_a_seed_gives_these_bytes_on_every_platform():
    found = fraud.generate(Request(events=5000, seed=1))
    assert found.arrived_at.sum() == 8_691_496_721_351_733
    assert digest(found.table, found.labels) == "7e3015579ecd42cbded1870fe8bc314b28af476ba698cdf54a2a55166d20c05a"


def test_another_seed_gives_others():
    digests = {digest(datasets.load("payments", Request(events=1000, seed=seed)).log) for seed in (1, 2, 3)}
    assert len(digests) == 3


def test_as_many_events_as_asked_for_over_sixty_days(payments):
    assert len(payments) == 200_000
    assert len(pc.unique(payments["event_id"])) == 200_000
    times = payments["event_time"].to_numpy()
    assert times.min() >= fraud.SINCE_MS
    assert times.max() < fraud.SINCE_MS + 60 * 24 * HOUR_MS


def test_three_in_a_thousand_are_fraud_in_the_shares_of_its_patterns(payments):
    counts = {row["values"]: row["counts"] for row in pc.value_counts(payments["pattern"]).to_pylist()}
    assert counts == {"none": 199_400, "card_testing": 210, "ring": 150, "takeover": 150, "stolen": 90}


def test_four_in_a_hundred_frauds_are_never_reported(payments):
    is_fraud = payments.filter(pc.not_equal(payments["pattern"], "none"))["outcome"].to_numpy()
    assert 0.93 < is_fraud.mean() < 0.99
    assert not of(payments, "none")["outcome"].to_numpy().any()


def test_labels_come_later_and_those_of_fraud_sooner(payments):
    after = (payments["labelled_at"].to_numpy() - payments["event_time"].to_numpy()) / HOUR_MS
    is_fraud = payments["outcome"].to_numpy() == 1
    assert after.min() >= 1
    assert 100 < np.median(after[is_fraud]) < 240
    assert set(after[~is_fraud]) == {60 * 24}


def test_days_and_weeks_have_their_rhythm(payments):
    at_home = payments.filter(pc.is_in(payments["currency"], pa.array(["EUR", "GBP"])))["event_time"].to_numpy()
    hours = np.bincount(at_home // HOUR_MS % 24, minlength=24) / len(at_home)
    days = np.bincount((at_home // (24 * HOUR_MS) + 3) % 7, minlength=7)
    assert hours[1:5].sum() < 0.03
    assert hours[16:19].sum() > 0.25
    assert days[5] > 1.3 * days[0]


def test_some_cards_pay_much_more_often_than_others(payments):
    counts = np.sort(pc.value_counts(payments["card_id"]).field("counts").to_numpy())
    assert len(counts) > 3900
    assert 20 < np.median(counts) < 45
    assert counts[-40:].min() > 180


def test_amounts_have_a_long_tail(payments):
    amounts = of(payments, "none")["amount"].to_numpy()
    assert 15 < np.median(amounts) < 35
    assert 300 < np.quantile(amounts, 0.99) < 1200
    assert np.allclose(amounts, np.round(amounts, 2))


def test_cards_keep_to_favourite_merchants(payments):
    pairs = of(payments, "none").group_by(["card_id", "merchant_id"]).aggregate([("event_id", "count")])
    assert pairs["event_id_count"].to_numpy()[pairs["event_id_count"].to_numpy() > 1].sum() > 0.5 * 199_400


def test_card_testing_is_a_burst_of_small_payments_at_one_merchant(payments):
    small = of(payments, "card_testing")
    small = small.filter(pc.less_equal(small["amount"], 3))
    bursts = small.group_by(["card_id", "merchant_id"]).aggregate(
        [("event_time", "min"), ("event_time", "max"), ("event_id", "count")]
    )
    sizes = bursts["event_id_count"].to_numpy()
    length = (bursts["event_time_max"].to_numpy() - bursts["event_time_min"].to_numpy()) / 60_000
    assert np.median(sizes) >= 6
    assert (length <= 20).all()
    assert not small["card_present"].to_numpy().any()


def test_half_of_the_tested_cards_are_cashed(payments):
    tested = of(payments, "card_testing")
    cashed = tested.filter(pc.greater(tested["amount"], 50))
    assert set(cashed["merchant_category"].to_pylist()) <= {"5732", "5944"}
    assert 0.2 < len(pc.unique(cashed["card_id"])) / len(pc.unique(tested["card_id"])) < 0.8


def test_a_ring_shares_few_merchants_among_many_cards(payments):
    ring = of(payments, "ring")
    assert len(pc.unique(ring["merchant_id"])) <= 12
    assert len(pc.unique(ring["card_id"])) >= 30
    all_at = payments.filter(pc.is_in(payments["merchant_id"], pc.unique(ring["merchant_id"])))
    # Twenty times as likely as elsewhere.
    assert len(ring) / len(all_at) > 20 * 0.003


def test_takeovers_are_abroad_and_online(payments):
    taken = of(payments, "takeover")
    home = {"EUR": {"DE", "FR", "NL"}, "GBP": {"GB"}, "USD": {"US"}, "PLN": {"PL"}}
    assert not taken["card_present"].to_numpy().any()
    abroad = [country not in home[currency] for country, currency in zip(*columns(taken), strict=True)]
    honest = [country not in home[currency] for country, currency in zip(*columns(of(payments, "none")), strict=True)]
    assert np.mean(abroad) > 0.6
    assert 0.02 < np.mean(honest) < 0.1


def columns(payments: pa.Table) -> tuple[list[str], list[str]]:
    return payments["country"].to_pylist(), payments["currency"].to_pylist()


def test_stolen_cards_are_present(payments):
    assert of(payments, "stolen")["card_present"].to_numpy().all()


def test_a_payment_is_valid_avro_by_the_newest_contract():
    contract = catalog.contract("card_transaction")
    codec = Codec(contract, contract.newest)
    for record, _ in datasets.load("payments", Request(events=2000)).records():
        assert codec.decode(codec.encode(record)) == record


def test_channels_follow_place_and_amount(payments):
    channels = {
        present: set(payments.filter(pc.equal(payments["card_present"], present))["channel"].to_pylist())
        for present in (True, False)
    }
    assert channels == {True: {"contactless", "chip", "stripe"}, False: {"online", "mail_order"}}
    contactless = payments.filter(pc.equal(payments["channel"], "contactless"))
    assert 0.85 < (contactless["amount"].to_numpy() <= 50).mean() < 0.97


def test_the_id_of_a_payment_tells_nothing_of_fraud(payments):
    assert payments["event_id"].to_pylist() == sorted(payments["event_id"].to_pylist())


def test_events_arrive_within_seconds(history):
    delay = history.log["arrived_at"].to_numpy() - history.log["event_time"].to_numpy()
    assert delay.min() >= 40
    assert np.median(delay) < 300
    assert delay.max() < 9000


def test_the_world_before_a_drift_is_the_same_and_the_one_after_is_not(history):
    drifted = datasets.load("payments", Request(events=200_000, seed=7, drift_at=FEBRUARY))
    is_before, stays = (
        pc.less(log["event_time"], FEBRUARY).to_numpy(zero_copy_only=False) for log in (drifted.log, history.log)
    )
    assert drifted.log.filter(is_before).equals(history.log.filter(stays))
    present, amounts = drifted.log["card_present"].to_numpy(), drifted.log["amount"].to_numpy()
    assert present[is_before].mean() - present[~is_before].mean() > 0.1
    assert np.median(amounts[~is_before]) > 1.2 * np.median(amounts[is_before])
    without = history.log["card_present"].to_numpy()
    assert abs(without[stays].mean() - without[~stays].mean()) < 0.02


def test_tested_cards_are_tested_slowly_after_the_drift():
    found = datasets.load("payments", Request(events=200_000, seed=7, drift_at=fraud.SINCE_MS))
    tested = of(found.log.join(found.labels, "event_id"), "card_testing")
    amounts = tested["amount"].to_numpy()
    assert np.median(amounts) > 4
    assert amounts.min() >= 4


def test_the_smallest_world_has_every_pattern_and_country():
    for seed in range(30):
        found = datasets.load("payments", Request(events=1000, seed=seed))
        assert len(found.log) == 1000
        assert pc.sum(pc.not_equal(found.labels["pattern"], "none")).as_py() == 3
