"""What was found as text, JSON, Markdown and SARIF, as the policy pack reports."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from ml_delivery.markdown import escaped, table
from ml_delivery.shadow.things import Thing

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ADVICE = "Import it into a stack (`pulumi import`), or delete it with its owner's consent."


@dataclass(frozen=True, slots=True)
class Report:
    """What exists at a place: how many things stacks own, what their pipelines made, and what nobody owns.

    `unread` says what couldn't be listed, so that nothing is said of it; `states` are the files that were compared.
    """

    place: str
    owned: int
    made: int
    shadows: tuple[Thing, ...]
    unread: tuple[str, ...]
    states: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit code: 1 if something is owned by nobody, 2 if it isn't known."""
        return 1 if self.shadows else 2 if self.unread else 0


def text(report: Report) -> str:
    """For a terminal."""
    lines = [f"{report.place}: {_summary(report)}."]
    lines += [f"  {thing.kind}  {thing.name}  {thing.created or 'no date'}  {thing.id}" for thing in report.shadows]
    lines += [f"  not looked at: {reason}" for reason in report.unread]
    return "\n".join([*lines, *([_ADVICE] if report.shadows else [])]) + "\n"


def json_text(report: Report) -> str:
    """For a program."""
    return json.dumps({**asdict(report), "code": report.code}, indent=2, sort_keys=True) + "\n"


def markdown(report: Report) -> str:
    """For a job's summary or an issue."""
    return "\n".join(_markdown(report)) + "\n"


def _markdown(report: Report) -> Iterator[str]:
    yield f"# {escaped(report.place)}: {_summary(report)}"
    if report.shadows:
        yield ""
        yield from table(
            ("kind", "name", "created", "id", "tags"),
            (
                (escaped(one.kind), escaped(one.name), one.created, f"`{one.id.replace('`', '')}`", escaped(_told(one)))
                for one in report.shadows
            ),
        )
        yield from ("", _ADVICE)
    if report.unread:
        yield from ("", "Not looked at:", "", *(f"- {escaped(reason)}" for reason in report.unread))


def sarif(report: Report) -> str:
    """SARIF 2.1.0 with a rule for each kind; a result keeps its fingerprint as long as the thing is there."""
    kinds = sorted({thing.kind for thing in report.shadows})
    rules = [
        {
            "id": f"shadow-{kind.replace(' ', '-')}",
            "shortDescription": {"text": f"A stack owns each {kind}."},
            "help": {"text": _ADVICE},
            "defaultConfiguration": {"level": "warning"},
        }
        for kind in kinds
    ]
    results = [
        {
            "ruleId": f"shadow-{thing.kind.replace(' ', '-')}",
            "ruleIndex": kinds.index(thing.kind),
            "level": "warning",
            "message": {"text": f"No stack owns the {thing.kind} {thing.name}: {thing.id}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": report.states[0]},
                        "region": {"startLine": 1},
                    },
                    "logicalLocations": [{"name": thing.name, "fullyQualifiedName": thing.id, "kind": "resource"}],
                }
            ],
            "partialFingerprints": {"thing/v1": hashlib.sha256(thing.key.encode()).hexdigest()},
        }
        for thing in report.shadows
    ]
    run = {
        "tool": {"driver": {"name": "ml-delivery shadow", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not report.unread,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": f"not looked at: {reason}"}} for reason in report.unread
                ],
            }
        ],
        "results": results,
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": text,
    "json": json_text,
    "markdown": markdown,
    "sarif": sarif,
}


def _summary(report: Report) -> str:
    counts = Counter(thing.kind for thing in report.shadows)
    found = ", ".join(f"{count} x {kind}" for kind, count in sorted(counts.items())) or "nothing"
    told = f"{found} that no stack owns; {report.owned} owned by stacks, {report.made} made by their pipelines"
    return f"{told}, {len(report.unread)} kinds not looked at" if report.unread else told


def _told(thing: Thing) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(thing.tags.items()))
