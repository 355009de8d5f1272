"""Runs the loop: a service answers a stream, monitors watch it, a policy decides, and versions come and go by its word.

Nothing here is a double: models are trained, judged and signed by the steps, served by the scoring service as a process
of its own, watched by the monitors, and rolled out by its routing table. Only applicants and time are made: an event is
a minute of the stream's time, by which the policy decides and the audit trail is dated.
"""

import base64
import datetime
import http.client
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ml_pipelines.loop.stream import EVERY_MS, SINCE_MS, Scenario, Stream, Told, with_outcomes
from ml_pipelines.monitoring.baseline import Baseline
from ml_pipelines.monitoring.compare import compare as compare_windows
from ml_pipelines.monitoring.counting import count
from ml_pipelines.monitoring.performance import decays
from ml_pipelines.monitoring.report import Report, Settings
from ml_pipelines.platforms.local import code
from ml_pipelines.retraining import audit, training
from ml_pipelines.retraining.answers import FeedbackError
from ml_pipelines.retraining.audit import AuditError, Event, Head, Trail
from ml_pipelines.retraining.events import What, milliseconds, rolling_out, runs
from ml_pipelines.retraining.feedback import Counts, join
from ml_pipelines.retraining.performance import performance
from ml_pipelines.retraining.policy import Decision, Policy, Situation, decide
from ml_pipelines.retraining.rollout import Evidence, Rollout, Rules, Stage, Verdict
from ml_pipelines.serving.comparison import Comparison, compare, read_log
from ml_pipelines.serving.process import Process, put_table, running
from ml_pipelines.steps import manifest
from ml_pipelines.steps.files import sha256
from ml_pipelines.steps.register import BASELINE
from ml_pipelines.streaming.watch import Shift, Watch
from ml_pipelines.tasks.credit import CREDIT
from ml_pipelines.tasks.task import ENTITY, EXAMPLE_ID, Kind

TENANTS = ("branches", "online")
_BATCH = 125
_PATIENCE_SECONDS = 20.0
_ISSUER, _AUDIENCE = "https://loop.example", "credit-scoring"
_TYPES = {Kind.NUMBER: pa.float64(), Kind.FLAG: pa.bool_(), Kind.CATEGORY: pa.string()}


class LoopError(Exception):
    """What the loop should have shown and didn't."""


@dataclass(frozen=True)
class Plan:
    """How long it runs and by which rules. history: applications that the first model learns from; after_promotion:
    events from a promotion until the recession ends.

    decay_rows: of so many of the champion's latest answers with an outcome its performance is told; probation_rows: of
    so many champion and predecessor are compared.
    """

    scenario: Scenario = field(default_factory=Scenario)
    history: int = 4_500
    window: int = 500
    longest: int = 20_000
    after_promotion: int = 1_000
    policy: Policy = field(
        default_factory=lambda: Policy("drift", outcomes=3_000, cool_down_hours=8, run_usd=12, monthly_usd=800)
    )
    drift: Settings = field(default_factory=lambda: Settings("population_stability_index", 0.1, decay=0.1))
    rules: Rules = field(default_factory=Rules)
    decay_rows: int = 600
    probation_rows: int = 900


@dataclass(frozen=True)
class Seen:
    """A window of the stream: up to which event, what monitors and policy said, and who answered how many.

    known: of how many answers the outcome is known by now.
    """

    until: int
    report: Report
    decision: Decision
    stage: Stage
    champion: str
    other: str | None
    answered: Mapping[str, int]
    known: int


@dataclass
class Outcome:
    """What the loop showed. Numbers of events are from 0; those of records of the trail from 1."""

    plan: Plan
    folder: Path
    windows: list[Seen] = field(default_factory=list)
    asked: int = 0
    failed: int = 0
    counts: Counts | None = None
    joined: pa.Table | None = None
    recovery_at: int | None = None
    # What the watch over the stream told, and at which event.
    shifts: list[tuple[int, Shift]] = field(default_factory=list)
    # By version: the events that it scored, as champion or as shadow, and its loss on each.
    scored: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    head: Head = field(default_factory=Head)
    tampered: str = ""
    trusted: str = ""

    @property
    def trail(self) -> Path:
        """The audit trail."""
        return self.folder / "trail.jsonl"

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the trail holds."""
        return audit.read(self.trail)

    def of(self, what: What) -> list[dict[str, Any]]:
        """The records of a kind."""
        return [record for record in self.records if record["what"] == what]

    @staticmethod
    def number(record: Mapping[str, Any]) -> int:
        """After how many events of the stream a record was written."""
        return (milliseconds(record) - SINCE_MS) // EVERY_MS

    @property
    def false_alarms(self) -> int:
        """Windows before the drift with an alarm."""
        return sum(seen.report.alarm for seen in self.calm)

    @property
    def early_shifts(self) -> int:
        """What the watch told before the drift."""
        return sum(number < self.plan.scenario.drift_at for number, _ in self.shifts)

    @property
    def shift_delay(self) -> int | None:
        """How many events passed from the drift until the watch told it."""
        later = [number for number, _ in self.shifts if number >= self.plan.scenario.drift_at]
        return later[0] + 1 - self.plan.scenario.drift_at if later else None

    @property
    def calm(self) -> list[Seen]:
        """The windows that end before the drift."""
        return [seen for seen in self.windows if seen.until <= self.plan.scenario.drift_at]

    @property
    def detected_at(self) -> int | None:
        """The event after which the drift was told."""
        later = [seen.until for seen in self.windows if seen.until > self.plan.scenario.drift_at and seen.report.alarm]
        return later[0] if later else None

    @property
    def detection_delay(self) -> int | None:
        """How many events passed from the drift until it was told."""
        return None if self.detected_at is None else self.detected_at - self.plan.scenario.drift_at


def run(folder: Path, plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Run it in an empty folder. Raises LoopError where it doesn't show what it should, ProcessError and StepError."""
    loop = Loop(folder, plan, say)
    loop.train_first()
    routing = folder / "routing.json"
    put_table(routing, loop.table())
    with running(folder, routing, loop.variables(), loop.tokens[0]) as service:
        loop.serve(service)
        while not loop.done:
            if loop.stream.at >= plan.longest:
                raise LoopError(f"{plan.longest:,} events passed, and the loop is at {loop.rollout.stage}")
            loop.window()
    return loop.ended()


class Loop:
    """What happens in one window after the other."""

    def __init__(self, folder: Path, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan, self._say, self._folder = plan, say, folder
        self.stream = Stream(plan.scenario)
        self.outcome = Outcome(plan, folder)
        key = Ed25519PrivateKey.generate()
        self._key, self._public = folder / "key.pem", key.public_key()
        folder.mkdir(parents=True, exist_ok=True)
        self._key.touch(mode=0o600)
        self._key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.outcome.trusted = manifest.as_word(self._public)
        self.trail = Trail(self.outcome.trail, key, self._now)
        self._code = code(Path(__file__).parents[1])
        self._identity = Ed25519PrivateKey.generate()
        self.tokens = [self._token(tenant) for tenant in TENANTS]
        self._captured = {kind: _Lines(folder / "captured" / kind) for kind in ("requests", "comparisons")}
        self._applications: list[pa.Table] = []
        self._comparisons: list[dict[str, Any]] = []
        self._reports: list[Report] = []
        self._drifting_since: int | None = None
        self._stage_since = self._used_since = 0
        self._left: int | None = None
        self.rollout: Rollout
        self._service: Process

    @property
    def done(self) -> bool:
        """Two windows after the rollback."""
        return self._left == 0

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.stream.now / 1000, datetime.UTC)

    def train_first(self) -> None:
        """The first champion, of the history."""
        archive = self._folder / "history"
        archive.mkdir()
        pq.write_table(self.stream.history(self.plan.history), archive / "events.parquet")
        made = training.run(self._training("first", archive), self.trail, "There is no model yet.", self._now())
        if made.version is None:
            raise LoopError(f"the first model doesn't pass the gates: {made.stopped[0]}")
        metric = made.metrics["metrics"]["model"][CREDIT.metric]["value"]
        self._say(f"{made.key} is trained on {self.plan.history:,} applications: {CREDIT.metric} {metric:.3f}")
        self.rollout = Rollout(made.key, self._put, self.trail, self.plan.rules, self._hashes)
        self.trail.append(
            Event("platform team", What.PROMOTED, "It is the first one.", made.key, self._hashes(made.key))
        )
        self._use(made.key)

    def _training(self, name: str, archive: Path, **other: Any) -> training.Training:
        return training.Training(
            name=name,
            task=CREDIT,
            archive=archive,
            folder=self._folder / "runs",
            registry=self._folder / "registry",
            code=self._code,
            key=self._key,
            trusted=(self._public,),
            usd=self.plan.policy.run_usd,
            **other,
        )

    def _version(self, key: str) -> Path:
        return self._folder / "registry" / CREDIT.name / key

    def _hashes(self, key: str) -> dict[str, str]:
        return {name: sha256(self._version(key) / name) for name in (manifest.MODEL, manifest.MANIFEST)}

    def _use(self, key: str) -> None:
        """Watch by the baseline of the champion."""
        self._baseline = Baseline.read("loop", self._version(key) / BASELINE)
        self._learned_from = self._baseline.rows
        types = {item.name: "string" if item.kind is Kind.CATEGORY else "double" for item in CREDIT.inputs}
        self._watch = Watch(CREDIT.name, types, self._baseline)
        self._reports, self._drifting_since, self._used_since = [], None, self.stream.at

    def table(self) -> dict[str, Any]:
        """The routing table, as it is now."""
        tenant = {"requests_per_second": 100_000, "concurrency": 100, "namespace": ""}
        return {
            "workload": CREDIT.name,
            "entity": "application_id",
            "features": [],
            "models": self.rollout.models,
            "ensemble": None,
            "tenants": dict.fromkeys(TENANTS, tenant),
        }

    def variables(self) -> dict[str, str]:
        """What the service is told."""
        raw = self._identity.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        keys = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "loop", "use": "sig", "alg": "EdDSA"}]}
        return {
            "MODELS": str(self._folder / "registry" / CREDIT.name),
            "TRUSTED_KEYS": self.outcome.trusted,
            "CAPTURED": str(self._folder / "captured"),
            "CAPTURED_SECONDS": "0.1",
            "TOKEN_ISSUER": _ISSUER,
            "TOKEN_AUDIENCE": _AUDIENCE,
            "TOKEN_KEYS": json.dumps(keys),
        }

    def _token(self, tenant: str) -> str:
        ends = int(time.time()) + 7_200
        claims = {"iss": _ISSUER, "aud": _AUDIENCE, "exp": ends, "tenant": tenant}
        return jwt.encode(claims, self._identity, algorithm="EdDSA", headers={"kid": "loop"})

    def serve(self, service: Process) -> None:
        """Use a service that runs."""
        self._service = service
        self._say(f"{self.rollout.champion} answers, for {' and '.join(TENANTS)}")

    def _put(self, models: Sequence[Mapping[str, Any]]) -> None:
        """Serve these, and wait until they are."""
        self._service.route(self.table())
        wanted = {one["version"]: (one["role"], one["traffic"]) for one in models}

        def there() -> bool:
            return {version: (one["role"], one["traffic"]) for version, one in self._service.listed().items()} == wanted

        self._service.until("served", there)

    def window(self) -> None:
        """Ask, and see what is to be done."""
        start = self.stream.at
        applications, asked = self.stream.draw(self.plan.window)
        self._applications.append(applications)
        answered = self._ask(asked)
        self._archive(applications)
        joined, counts = self._joined()
        self._streamed(answered)
        report = self._watched(answered, joined, counts)
        drifted = report.alarm and self._drifting_since is None
        self._drifting_since = (
            (start if self._drifting_since is None else self._drifting_since) if report.alarm else None
        )
        self._reports.append(report)
        if drifted:
            self._told_drift(report)
        self._looked(joined)
        decision = self._decided(joined)
        champion, other = self.rollout.champion, self.rollout.other
        models = dict(Counter(line["model"] for line in answered))
        self.outcome.windows.append(
            Seen(self.stream.at, report, decision, self.rollout.stage, champion, other, models, counts.joined)
        )
        if decision.retrain:
            self._retrain(decision)
        if self._left:
            self._left -= 1

    def _ask(self, asked: pa.Table) -> list[dict[str, Any]]:
        """Ask the service; returns what it captured of its answers."""
        instances = [
            {
                "entity": row[ENTITY],
                "event_id": row[EXAMPLE_ID],
                "features": {item.name: _given(row[item.name], item.kind) for item in CREDIT.inputs},
            }
            for row in asked.to_pylist()
        ]
        for place in range(0, len(instances), _BATCH):
            self._post(instances[place : place + _BATCH], self.tokens[place // _BATCH % len(TENANTS)])
        captured = self._captured["requests"].wait(len(instances) - self._lost(instances))
        if self.rollout.stage in (Stage.SHADOW, Stage.PROBATION):
            self._comparisons += self._captured["comparisons"].wait(len(captured))
        return captured

    def _post(self, instances: Sequence[Mapping[str, Any]], token: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=30)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self.outcome.asked += len(instances)
        try:
            connection.request("POST", "/v1/score", json.dumps({"instances": instances}), headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            self.outcome.failed += len(instances)
            self._say(f"a request failed with {answer.status}: {said[:200]!r}")

    def _lost(self, instances: Sequence[Any]) -> int:
        """How many of a window failed."""
        return max(0, self.outcome.failed - (self.outcome.asked - len(instances)))

    def _archive(self, applications: pa.Table) -> None:
        """Add applications, and what became known, to the archive; and the outcomes to the labels."""
        told = self.stream.told()
        archive, labels = self._folder / "archive", self._folder / "labels"
        for folder in (archive, labels):
            folder.mkdir(exist_ok=True)
        number = f"{self.stream.at:07}"
        pq.write_table(applications, archive / f"{number}-applications.parquet")
        all_ = pa.concat_tables(self._applications).combine_chunks()
        pq.write_table(with_outcomes(all_, told, self.stream.now), archive / f"{number}-outcomes.parquet")
        now = round(time.time() * 1000)
        (labels / f"{number}.jsonl").write_text("".join(_label(one, now) for one in told), encoding="utf-8")

    def _joined(self) -> tuple[pa.Table, Counts]:
        try:
            joined, counts = join(self._folder / "captured" / "requests", self._folder / "labels")
        except FeedbackError as error:
            raise LoopError(str(error)) from error
        self.outcome.joined, self.outcome.counts = joined, counts
        return joined, counts

    def _streamed(self, answered: Sequence[Mapping[str, Any]]) -> None:
        """Let the watch see the champion's answers one by one, as the stream's processor does."""
        for line in answered:
            if line["model"] == self.rollout.champion:
                number = _number(line["event_id"])
                decision = {"features": line["features"], "answer": line, "arrived_at": self.stream.moment(number)}
                found = self._watch.see([decision])
                self.outcome.shifts += [(number, shift) for shift in found]
                if found and not self._drifting_since:
                    self._say(f"event {number:,}: the watch over the stream: {found[0].said()}")

    def _watched(self, answered: Sequence[Mapping[str, Any]], joined: pa.Table, counts: Counts) -> Report:
        """What the monitors say of the champion's answers in this window, and of its latest outcomes."""
        champion = self.rollout.champion
        ours = [line for line in answered if line["model"] == champion]
        columns: dict[str, Any] = {
            item.name: pa.array([line["features"][item.name] for line in ours], _TYPES[item.kind])
            for item in CREDIT.inputs
        }
        columns |= {"score": [line["score"] for line in ours], "at": [line["at"] for line in ours]}
        numbers = np.array([_number(one) for one in joined["event_id"].to_pylist()], np.int64)
        known = joined.filter(pc.and_(pc.equal(joined["model"], champion), pa.array(numbers >= self._used_since)))
        known = known.slice(max(0, len(known) - self.plan.decay_rows))
        lost = decays(CREDIT, self._baseline.performance, known["outcome"].to_numpy(), known["score"].to_numpy())
        window = count(self._baseline, pa.table(columns))
        return compare_windows(self._baseline, window, self.plan.drift, list(lost), champion, counts.faults)

    def _told_drift(self, report: Report) -> None:
        names = ", ".join(dict.fromkeys(one.name for one in report.alarms))
        self.trail.append(
            Event(
                "monitor",
                What.DRIFT,
                f"{len(report.alarms)} alarms: {'; '.join(report.lines()[:3])}",
                self.rollout.champion,
                details={"alarms": report.lines(), "events": self.stream.at},
            )
        )
        self._say(f"event {self.stream.at:,}: alarm: {names}")

    def _looked(self, joined: pa.Table) -> None:
        """Look at the stage of the rollout."""
        rollout, stage = self.rollout, self.rollout.stage
        if rollout.other is None:
            return
        outcomes = dict(zip(joined["event_id"].to_pylist(), joined["outcome"].to_pylist(), strict=True))
        fresh = [line for line in self._comparisons if line["event_id"] in outcomes]
        fresh = [line for line in fresh if _number(line["event_id"]) >= self._stage_since]
        told = fresh[-self.plan.probation_rows :] if stage is Stage.PROBATION else fresh
        evidence = Evidence(
            _compared(told, outcomes, rollout),
            self._performances(joined) if stage is Stage.CANARY else None,
            self._withdrawn() if stage is Stage.CANARY else None,
        )
        champion, other = rollout.champion, rollout.other
        judged = rollout.look(evidence, len(fresh))
        if rollout.stage is stage:
            return
        self._stage_since = self.stream.at
        self._say(
            f"event {self.stream.at:,}: {stage} {other if stage is not Stage.PROBATION else champion}: {judged.said}"
        )
        if rollout.champion != champion:
            self._use(rollout.champion)
            if rollout.stage is Stage.PROBATION:
                self.stream.recovery_at = self.outcome.recovery_at = self.stream.at + self.plan.after_promotion
                self._say(f"event {self.stream.at:,}: {rollout.champion} is promoted, {champion} stays as a shadow")
            else:
                self._say(f"event {self.stream.at:,}: rolled back to {rollout.champion}")
                self._left = 2
        elif rollout.stage is Stage.CANARY:
            self._say(f"event {self.stream.at:,}: {other} answers {self.plan.rules.canary_percent}% as a canary")
        elif judged.verdict is Verdict.BACK:
            self._say(f"event {self.stream.at:,}: {other} isn't used")

    def _performances(self, joined: pa.Table) -> dict[str, Any]:
        """Of answers since the stage began, in all."""
        numbers = np.array([_number(one) for one in joined["event_id"].to_pylist()])
        since = joined.filter(pa.array(numbers >= self._stage_since))
        return {one.model: one for one in performance(since)}

    def _withdrawn(self) -> dict[str, str]:
        said = self._service.listed().values()
        return {f"{one['name']}/{one['version']}": one["withdrawn"] for one in said if one["withdrawn"]}

    def _decided(self, joined: pa.Table) -> Decision:
        """Whether to train again, by what came since the drift began."""
        since = self.stream.at if self._drifting_since is None else self._drifting_since
        labelled = sum(_number(one) >= since for one in joined["event_id"].to_pylist())
        records = audit.read(self.trail.file)
        situation = Situation(
            self.stream.now, self._reports, labelled, self._learned_from, runs(records), rolling_out(records)
        )
        decision = decide(self.plan.policy, situation)
        if decision.reasons:
            self.trail.append(
                Event("retraining policy", What.DECIDED, decision.said, CREDIT.name, details=decision.as_json())
            )
            vetoes = "; ".join(one.said for one in decision.vetoes)
            self._say(f"event {self.stream.at:,}: {'train' if decision.retrain else f'no training now: {vetoes}'}")
        return decision

    def _retrain(self, decision: Decision) -> None:
        since = self.stream.moment(self.stream.at if self._drifting_since is None else self._drifting_since)
        how = self._training(
            f"run-{self.stream.at:07}",
            self._folder / "archive",
            since=since,
            champion=self._version(self.rollout.champion),
        )
        made = training.run(how, self.trail, decision.said, self._now())
        if made.version is None:
            self._say(f"event {self.stream.at:,}: the candidate is stopped: {made.stopped[0]}")
            return
        best = made.metrics["metrics"]
        ours, theirs = (best[who][CREDIT.metric]["value"] for who in ("model", "champion"))
        self._say(
            f"event {self.stream.at:,}: {made.key} passes the gates: {CREDIT.metric} {ours:.3f}, the champion's "
            f"{theirs:.3f}; registered, and shadow"
        )
        self._comparisons = []
        self.rollout.start(made.key)
        self._stage_since = self.stream.at

    def ended(self) -> Outcome:
        """All that was shown. Raises LoopError where something is missing, or the trail isn't what was written."""
        outcome = self.outcome
        for what in (What.DRIFT, What.STOPPED, What.REGISTERED, What.SHADOW, What.CANARY, What.ROLLED_BACK):
            if not outcome.of(what):
                raise LoopError(f"nothing in the trail tells `{what}`")
        try:
            outcome.head = audit.verify(outcome.trail, [self._public])
        except AuditError as error:
            raise LoopError(f"the audit trail isn't what was written: {error}") from error
        outcome.tampered = self._tampered()
        outcome.scored = self._scored()
        self._say(f"{outcome.trail}: {outcome.head.number} records, each signed, none changed")
        self._say(f"a copy in which it was changed who judged the canary: {outcome.tampered}")
        return outcome

    def _scored(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        joined, _ = self._joined()
        came = dict(zip(joined["event_id"].to_pylist(), joined["outcome"].to_pylist(), strict=True))
        own = zip(joined["event_id"].to_pylist(), joined["model"].to_pylist(), joined["score"].to_pylist(), strict=True)
        shadows = read_log(self._folder / "captured" / "comparisons")
        said = [*own, *((line["event_id"], line["shadow"], line["shadow_score"]) for line in shadows)]
        found: dict[str, list[tuple[int, float]]] = {}
        for event, model, score in said:
            if event in came and score is not None:
                told = min(max(score, 1e-6), 1 - 1e-6)
                loss = -math.log(told if came[event] else 1 - told)
                found.setdefault(model, []).append((_number(event), loss))
        return {
            model: (np.array([number for number, _ in pairs]), np.array([loss for _, loss in pairs]))
            for model, pairs in found.items()
        }

    def _tampered(self) -> str:
        """What verification says of a trail in which somebody changed who judged the canary."""
        changed = self._folder / "changed.jsonl"
        lines = self.outcome.trail.read_bytes().splitlines(keepends=True)
        place = next(number for number, line in enumerate(lines) if What.CANARY_JUDGED.encode() in line)
        lines[place] = lines[place].replace(b'"who":"rollout"', b'"who":"nobody"')
        changed.write_bytes(b"".join(lines))
        try:
            audit.verify(changed, [self._public])
        except AuditError as error:
            if error.number != place + 1:
                raise LoopError(f"record {place + 1} was changed, and verification names {error.number}") from error
            return f"record {error.number} {error.what}"
        raise LoopError("a changed trail was verified")


class _Lines:
    """The lines that a service adds to files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: Counter[Path] = Counter()

    def wait(self, count: int) -> list[dict[str, Any]]:
        """The next so many lines. Raises LoopError where they don't come."""
        found: list[dict[str, Any]] = []
        end = time.monotonic() + _PATIENCE_SECONDS
        while len(found) < count:
            if time.monotonic() > end:
                raise LoopError(f"{self._folder}: {len(found)} of {count} lines came in {_PATIENCE_SECONDS:g} s")
            for file in sorted(self._folder.rglob("*.jsonl")):
                with file.open("rb") as stream:
                    stream.seek(self._read[file])
                    whole = stream.read().rpartition(b"\n")[0]
                if whole:
                    self._read[file] += len(whole) + 1
                    found += [json.loads(line) for line in whole.splitlines()]
            if len(found) < count:
                time.sleep(0.02)
        return found


def _compared(lines: Sequence[Mapping[str, Any]], outcomes: Mapping[str, float], rollout: Rollout) -> Comparison | None:
    pair = [line for line in lines if (line["champion"], line["shadow"]) == (rollout.champion, rollout.other)]
    return next(iter(compare(pair, outcomes, significance=rollout.rules.level)), None)


def _given(value: Any, kind: Kind) -> Any:
    """A value as clients send it: yes and no are no numbers."""
    return bool(value) if kind is Kind.FLAG and value is not None else value


def _number(event_id: str) -> int:
    return int(event_id.rpartition("-")[2])


def _label(one: Told, now: int) -> str:
    said = {"event_id": one.event_id, "outcome": float(one.bad), "labelled_at": now - one.behind_ms}
    return json.dumps(said) + "\n"
