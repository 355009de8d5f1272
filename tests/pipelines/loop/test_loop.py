"""The loop, made short: all of it happens, in its order, and the trail and the report tell it."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ml_pipelines.loop.demonstration import Outcome, Plan, run
from ml_pipelines.loop.report import html
from ml_pipelines.loop.stream import Scenario
from ml_pipelines.monitoring.report import Settings
from ml_pipelines.retraining import audit
from ml_pipelines.retraining.events import What
from ml_pipelines.retraining.policy import Policy, Why
from ml_pipelines.retraining.rollout import Rules
from ml_pipelines.steps import manifest

# One run for all of them.
pytestmark = pytest.mark.xdist_group("loop")

SHORT = Plan(
    Scenario(seed=2, drift_at=800, off_by_one=(900, 2_700), delay=120),
    history=3_000,
    window=700,
    longest=9_000,
    after_promotion=100,
    policy=Policy("drift", outcomes=1_000, cool_down_hours=10, run_usd=12, monthly_usd=800),
    drift=Settings("population_stability_index", 0.1),
    rules=Rules(canary_percent=30, canary_outcomes=60),
    decay_rows=400,
    probation_rows=400,
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    said: list[str] = []
    found = run(tmp_path_factory.mktemp("loop") / "run", SHORT, said.append)
    print("\n".join(said))
    return found


def test_all_of_it_happens_in_its_order(outcome):
    told = [record["what"] for record in outcome.records if record["what"] != What.DECIDED]
    order = [What.DRIFT, What.STOPPED, What.REGISTERED, What.SHADOW, What.CANARY, What.PROMOTED, What.ROLLED_BACK]
    places = [told.index(what, told.index(What.DRIFT)) for what in order]
    assert places == sorted(places)
    assert outcome.failed == 0
    assert outcome.false_alarms == 0
    assert 0 < outcome.detection_delay <= 2_000
    assert 0 < outcome.shift_delay <= 2_000


def test_the_bad_candidate_never_answers_and_who_is_rolled_back_answers_no_more(outcome):
    first, second = (record["subject"] for record in outcome.of(What.REGISTERED))
    assert outcome.of(What.STOPPED)[0]["details"]["failed"]
    assert set().union(*(seen.answered for seen in outcome.windows)) == {first, second}
    assert outcome.windows[0].answered == {first: SHORT.window}
    assert outcome.windows[-1].answered == {first: SHORT.window}
    canary = next(seen for seen in outcome.windows if len(seen.answered) == 2)
    assert 0.2 < canary.answered[second] / SHORT.window < 0.4


def test_decisions_tell_reasons_and_vetoes(outcome):
    decided = [record["details"] for record in outcome.of(What.DECIDED)]
    vetoes = {one["why"] for details in decided for one in details["vetoes"]}
    assert {Why.FEW_OUTCOMES, Why.COOL_DOWN, Why.ROLLING_OUT} <= vetoes
    assert all(details["reasons"] for details in decided)
    starts = [record["why"] for record in outcome.of(What.STARTED)][1:]
    assert starts == [record["why"] for record in outcome.of(What.DECIDED) if record["details"]["retrain"]]


def test_the_trail_is_signed_and_names_what_was_trained_and_served(outcome):
    key = manifest.public_key(outcome.trusted)
    assert audit.verify(outcome.trail, [key], outcome.head) == outcome.head
    assert outcome.tampered.startswith("record ")
    trained, registered = outcome.of(What.TRAINED)[-1], outcome.of(What.REGISTERED)[-1]
    promoted = outcome.of(What.PROMOTED)[-1]
    assert trained["hashes"]["model"] == registered["hashes"]["model"] == promoted["hashes"]["model.onnx"]
    assert {"log", "train.parquet", "test.parquet"} <= set(trained["hashes"])
    assert trained["details"]["code"]


def test_faults_of_labels_are_counted(outcome):
    assert {"repeated", "contradicted", "unknown", "skewed"} <= set(outcome.counts.faults)


def test_tenants_are_told_apart(outcome):
    files = sorted((outcome.folder / "captured" / "requests").rglob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert {line["tenant"] for line in lines} == {"branches", "online"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href") and tag in ("script", "link", "img")]


def test_the_report_shows_all_and_asks_for_nothing_from_elsewhere(outcome):
    text, page = html(outcome), _Page()
    page.feed(text)
    assert page.tags.count("svg") == 4
    assert page.sources == []
    assert page.tags.count("table") == 4
    for record in outcome.records:
        assert record["hash"][:10] in text
    assert outcome.head.hash in text
    assert Path(outcome.folder / "key.pem").stat().st_mode & 0o077 == 0
