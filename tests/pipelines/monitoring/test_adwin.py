"""ADWIN beside the numbers of its reference, river 0.26.1, on the same streams."""

import random

import numpy as np
import pytest
from ml_pipelines.monitoring.adwin import Adwin

# River looks at its window every so many values.
CLOCK = 32


def stream(seed, *parts):
    """Values between bounds; parts: up to which value, from where, and to where."""
    draw, values = random.Random(seed), []
    for upto, low, high in parts:
        while len(values) < upto:
            values.append(low + (high - low) * draw.random())
    return values


STREAMS = {
    "up": stream(1, (1000, 0, 0.8), (3000, 0.2, 1)),
    "narrower": stream(2, (2000, 0, 1), (4000, 0.3, 0.7)),
    "a little": stream(3, (500, 0.2, 0.5), (1500, 0.3, 0.6)),
    "none": stream(4, (5000, 0, 1)),
    "for a while": stream(5, (3000, 0, 0.6), (3300, 0.4, 1), (6000, 0, 0.6)),
}
# Where river.drift.ADWIN(delta) tells the first change: measured with river 0.26.1.
RIVER = {
    0.002: {"up": 1151, "narrower": None, "a little": 671, "none": None, "for a while": 3039},
    1e-6: {"up": 1215, "narrower": None, "a little": 895, "none": None, "for a while": 3071},
}


def one_by_one(adwin, values, channel=0):
    """The first change that is found in one channel, where the others hold zeros."""
    counts = np.ones(adwin.channels)
    for place, value in enumerate(values):
        whole = np.zeros(adwin.channels)
        whole[channel] = value
        adwin.add(counts, whole, whole**2)
        if (place + 1) % CLOCK == 0 and (found := adwin.changes()):
            return place, found
    return None, []


@pytest.mark.parametrize("delta", RIVER)
@pytest.mark.parametrize("name", STREAMS)
def test_changes_are_found_where_river_finds_them(name, delta):
    place, found = one_by_one(Adwin(3, delta), STREAMS[name], channel=1)
    assert place == RIVER[delta][name]
    assert [change.channel for change in found] == ([1] if place is not None else [])


def test_windows_hold_what_rivers_do():
    adwin = Adwin(1, 1e-9)
    one_by_one(adwin, stream(7, (1000, 0, 1)))
    assert adwin.widths[0] == 1000
    assert adwin.means[0] * 1000 == pytest.approx(481.7410797949598)


def test_only_the_channel_that_changed_forgets():
    adwin, draw = Adwin(2, 1e-6), np.random.default_rng(1)
    found = []
    for place in range(3000):
        values = draw.random(2) * 0.5 + np.array([0.5 if place >= 2000 else 0.0, 0.0])
        adwin.add(np.ones(2), values, values**2)
        if place % CLOCK == 0:
            found += adwin.changes()
    (change,) = found
    assert (change.channel, round(change.before, 1), round(change.after, 1)) == (0, 0.2, 0.8)
    assert change.after - change.before > change.bound
    assert 900 <= adwin.widths[0] <= 1100
    assert adwin.widths[1] == 3000
    assert adwin.means == pytest.approx([0.75, 0.25], abs=0.02)


def test_values_may_come_in_groups_and_be_missing():
    """An element stands for all its values; a channel without any isn't moved."""
    adwin, draw = Adwin(2, 1e-6), np.random.default_rng(2)
    found = []
    for place in range(100):
        values = draw.random(64) * 0.5 + (0.5 if place >= 60 else 0.0)
        adwin.add(np.array([64, 0]), np.array([values.sum(), 0]), np.array([(values**2).sum(), 0]))
        found += [(place, change.channel) for change in adwin.changes()]
    assert found
    assert found[0][1] == 0
    assert 60 <= found[0][0] <= 62
    assert adwin.widths[1] == 0


def test_memory_is_bounded():
    adwin = Adwin(1, 1e-9)
    before = adwin._levels.nbytes
    for _ in range(30_000):
        adwin.add(np.ones(1), np.full(1, 0.5), np.full(1, 0.25))
    assert adwin.changes() == []
    assert adwin._levels.nbytes == before < 10_000
    assert 5 * 2**11 < adwin.widths[0] < 30_000
