"""A processor that is killed, again and again at any moment, loses no event and decides none in two ways."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import House

WORKER = Path(__file__).with_name("worker.py")
EVENTS = 600


@pytest.fixture(params=["sqlite", "redis"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/state.db"
    import redis

    url = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushdb()
    return url


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_what_is_killed_resumes_and_decides_as_if_nothing_had_been(tmp_path: Path, house: House, state: str):
    draw = random.Random(7)
    events = tmp_path / "events"
    records = [house.record(n, f"card-{draw.randrange(12)}", at=n * 2000) for n in range(EVENTS)]
    with events.open("w") as file:
        for record in records:
            file.write(json.dumps({"payload": record.payload.hex(), "arrived_at": record.arrived_at}) + "\n")
        file.write(json.dumps({"payload": b"poison".hex(), "arrived_at": records[-1].arrived_at}) + "\n")

    calm = tmp_path / "calm"
    subprocess.run([sys.executable, WORKER, events, f"sqlite://{tmp_path}/calm.db", calm], check=True, timeout=60)
    expected = lines(calm)
    assert len(expected) == len(set(expected)) == EVENTS

    killed = tmp_path / "killed"
    kills = 0
    while True:
        worker = subprocess.Popen([sys.executable, WORKER, events, state, killed])
        before = len(lines(killed))
        # From its first output of this life on it has a moment to live.
        while worker.poll() is None and len(lines(killed)) == before:
            time.sleep(0.005)
        if kills < 6 and worker.poll() is None:
            time.sleep(draw.uniform(0, 0.05))
            worker.kill()
            kills += worker.wait() < 0
        elif worker.wait(timeout=60) == 0:
            break
    assert kills > 0
    found = lines(killed)
    assert set(found) == set(expected)
    assert len(lines(killed.with_suffix(".dead"))) >= 1
