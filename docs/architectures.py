"""The page of each architecture: the way of the data on each cloud, drawn from the resources that a stack really has.

A box is what realises a capability. An arrow is there where one refers to the other in the stack's saved state,
directly or by way of resources that are in no box, and where one of these ties just the two, as a rule does with its
target. A reference has no direction of data: that is the one of the steps, from left to right.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from docs.markdown import heads, row, type_name
from ml_blueprints.capabilities import CAPABILITIES
from ml_blueprints.layers import Zone
from ml_blueprints.platform import architecture
from ml_blueprints.workload import ArchitectureKind

CLOUDS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
LAKE = "data-lake"

State = Mapping[str, Any]
Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the way: what happens there, and the capabilities that do it, in the order of the data."""

    title: str
    text: str
    capabilities: tuple[str, ...]


def _zone(zone: Zone) -> str:
    """A zone of the lake, as if it were a capability of its own: the data comes by the lake several times."""
    return f"{LAKE}: {zone.value}"


STEPS = (
    Step("Ingest", "Events come in by their contract.", ("schema-registry", "stream-ingest")),
    Step(
        "Archive",
        "All data is kept as it came, and is found by name.",
        ("stream-archive", _zone(Zone.RAW), "data-catalog"),
    ),
    Step(
        "Transform",
        "Features are computed by one definition: from each event as it comes, and from the lake on a schedule.",
        ("feature-updates", "stream-scoring", "feature-engineering"),
    ),
    Step(
        "Features",
        "The history of features is for training, the latest of an entity for scoring.",
        (_zone(Zone.FEATURES), "window-state", "offline-features", "online-features"),
    ),
    Step(
        "Train",
        "Models are made from the history of features and registered by version.",
        ("training-pipeline", "retraining-pipeline", _zone(Zone.MODELS), "model-registry"),
    ),
    Step(
        "Serve",
        "Models answer; what was answered is published and kept.",
        ("canary", "shadow", "real-time-scoring", "batch-scoring", "decision-stream", _zone(Zone.CURATED)),
    ),
    Step(
        "Monitor",
        "What was scored is compared with what was trained on; what failed is told, and drift trains anew.",
        ("dead-letters", "drift-detection", "alarms", "retraining-trigger", "alerts"),
    ),
)
_RANK = {name: rank for rank, name in enumerate(itertools.chain.from_iterable(step.capabilities for step in STEPS))}

# These do something by themselves, by rights that their resource waits for: whatever they have rights on counts. Of a
# store or a stream only what it refers to does, as the rights on it are those of others.
_ACT = frozenset(
    {
        "feature-updates",
        "stream-scoring",
        "feature-engineering",
        "training-pipeline",
        "retraining-pipeline",
        "canary",
        "shadow",
        "real-time-scoring",
        "batch-scoring",
        "drift-detection",
    }
)
# These are told of something and tell others: no data comes to them, so that they are linked with nothing else.
_ONLY_WITH = {
    "retraining-trigger": {"drift-detection", "retraining-pipeline"},
    "alarms": _ACT | {"stream-ingest", "decision-stream", "dead-letters", "alerts"},
    "alerts": {"alarms"},
}
# What leads back: from, to.
_BACK = {("retraining-trigger", "retraining-pipeline")} | {
    (stream, _zone(Zone.RAW)) for stream in ("decision-stream", "dead-letters")
}


_RIGHTS = re.compile("policy|iam|permission|assignment|grant", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """Resources of one type that realise the same capabilities."""

    rank: int
    capabilities: tuple[str, ...]
    type: str

    def links_with(self, other: "Box") -> bool:
        """Whether data, or word of it, can go between the two."""
        return all(
            set(there.capabilities) & _ONLY_WITH[capability]
            for here, there in ((self, other), (other, self))
            for capability in here.capabilities
            if capability in _ONLY_WITH
        )

    def leads_to(self, other: "Box") -> bool:
        """Whether the data goes from this one to the other, rather than the other way round."""
        pairs = set(itertools.product(self.capabilities, other.capabilities))
        back = set(itertools.product(other.capabilities, self.capabilities))
        return bool(pairs & _BACK) or (self.rank < other.rank and not back & _BACK)


@dataclass(frozen=True, slots=True)
class Way:
    """The way of the data through one stack: boxes with the names of their resources, and arrows between them."""

    boxes: Mapping[Box, list[str]]
    arrows: list[tuple[Box, Box]]


def pages(states: Mapping[str, State]) -> dict[str, str]:
    """File name -> text of each architecture's page, from the exported states of all stacks by their names."""
    return {
        f"architectures/{kind.value}.md": page(kind, {cloud: states[f"{cloud}-{kind.value}"] for cloud in CLOUDS})
        for kind in ArchitectureKind
    }


def page(kind: ArchitectureKind, states: Mapping[str, State]) -> str:
    """One architecture on all clouds."""
    return "\n".join(_page(kind, {cloud: way(state) for cloud, state in states.items()}, states)) + "\n"


def _page(kind: ArchitectureKind, ways: Mapping[str, Way], states: Mapping[str, State]) -> Iterator[str]:
    workload = _stack(next(iter(states.values())))["outputs"]["workload"]
    yield from (f"# {kind.title()}", "", *_paragraphs(architecture(kind).__doc__ or ""))
    yield (
        f"The way of the data in the workload `{workload}`, drawn from the resources that the three stacks have after "
        "`pulumi up`. `make docs` writes this page; a test compares it with a run. A box realises a capability; "
        "an arrow says that one refers to the other, directly or by way of what isn't drawn (networks, keys, rights "
        "and what else stands around the data), or that such a thing ties the two. It leads along the steps, also "
        "where data goes both ways. What is found by its name, at run time alone, has no arrow."
    )
    for cloud, found in ways.items():
        yield from ("", f"## {CLOUDS[cloud]}", "", "```mermaid", *diagram(found), "```")
    yield from ("", "## The steps", "")
    for number, step in enumerate(STEPS, start=1):
        yield f"{number}. **{step.title}.** {step.text}"
    yield ""
    yield from heads("step", "capability", *CLOUDS.values())
    for step in STEPS:
        for capability in step.capabilities:
            cells = [_types(found, capability) for found in ways.values()]
            if any(cells):
                yield from row(step.title, capability, *(cell or "none" for cell in cells))
    named = (
        name for step in STEPS for name in step.capabilities if any(_types(found, name) for found in ways.values())
    )
    yield from ("", "## What each capability means", "")
    for name in dict.fromkeys(name.partition(":")[0] for name in named):
        capability = CAPABILITIES[name]
        yield f"- **{name}**: {capability.sentence} {capability.note}".rstrip()


def _paragraphs(docstring: str) -> Iterator[str]:
    for paragraph in docstring.split("\n\n"):
        yield " ".join(paragraph.split())
        yield ""


def _types(found: Way, capability: str) -> str:
    names = [f"`{box.type}`" for box in sorted(found.boxes) if capability in box.capabilities]
    return ", ".join(dict.fromkeys(names))


def diagram(found: Way) -> Iterator[str]:
    """The way as a flowchart of Mermaid, one column for each step."""
    ids = {box: f"box{number}" for number, box in enumerate(sorted(found.boxes))}
    columns = {step.title: [box for box in ids if box.capabilities[0] in step.capabilities] for step in STEPS}
    yield "flowchart LR"
    for title, boxes in columns.items():
        if boxes:
            yield f"  subgraph {title}"
            for box in boxes:
                yield f'    {ids[box]}["{_names(found.boxes[box])}<br/><i>{box.type}</i>"]'
            yield "  end"
    # Links that nobody sees keep the columns in their order, whatever leads back.
    for left, right in itertools.pairwise(boxes for boxes in columns.values() if boxes):
        yield f"  {ids[left[0]]} ~~~ {' & '.join(ids[box] for box in right)}"
    for left, right in found.arrows:
        yield f"  {ids[left]} --> {ids[right]}"


def _names(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} and {len(names) - 1} more"


def way(state: State) -> Way:
    """The boxes and arrows of one stack, from its exported state."""
    resources = {resource["urn"]: resource for resource in state["deployment"]["resources"]}
    outputs = _stack(state)["outputs"]
    boxes = _boxes(outputs["capabilities"])
    members: dict[Box, list[str]] = defaultdict(list)
    for urn, box in boxes.items():
        members[box].append(_name(urn).removeprefix(f"{outputs['workload']}-"))
    reached = {urn: _reached(urn, resources, boxes) for urn in boxes}
    pairs = {(box, boxes[other]) for urn, box in boxes.items() for other in reached[urn] if other in boxes}
    pairs.update(_tied(set().union(*reached.values()), resources, boxes))
    arrows = {
        (left, right) if left.leads_to(right) else (right, left)
        for left, right in pairs
        if left != right and left.links_with(right)
    }
    return Way({box: sorted(names) for box, names in members.items()}, sorted(arrows))


def _stack(state: State) -> Mapping[str, Any]:
    (stack,) = (item for item in state["deployment"]["resources"] if item["type"] == "pulumi:pulumi:Stack")
    return stack


def _boxes(realised: Mapping[str, list[str]]) -> dict[str, Box]:
    """URN -> the box of each resource that is on the way."""
    capabilities: dict[str, set[str]] = defaultdict(set)
    for capability, urns in realised.items():
        for urn in urns:
            name = f"{LAKE}: {_name(urn).rpartition('-')[2]}" if capability == LAKE else capability
            if name in _RANK:
                capabilities[urn].add(name)
    boxes = {}
    for urn, names in capabilities.items():
        ordered = tuple(sorted(names, key=_RANK.__getitem__))
        boxes[urn] = Box(_RANK[ordered[0]], ordered, type_name(urn.split("::")[2].rpartition("$")[2]))
    return boxes


def _name(urn: str) -> str:
    """The logical name of a resource."""
    return urn.rpartition("::")[2]


def _reached(urn: str, resources: Mapping[str, Resource], boxes: Mapping[str, Box]) -> set[str]:
    """What a resource refers to, directly or by way of resources that are in no box."""
    waiting = _references(resources[urn])
    if urn in boxes and _ACT & set(boxes[urn].capabilities):
        waiting |= set(resources[urn].get("dependencies") or ())
    found = set()
    while waiting:
        found.add(other := waiting.pop())
        if other not in boxes:
            waiting |= _references(resources[other]) - found
    return found


def _tied(reached: set[str], resources: Mapping[str, Resource], boxes: Mapping[str, Box]) -> Iterable[tuple[Box, Box]]:
    """Pairs of boxes that a resource ties together to which nothing refers: a rule and its target, a version and its
    files. Who has rights on two things doesn't tie them."""
    for urn, resource in resources.items():
        if urn not in boxes and urn not in reached and not _RIGHTS.search(resource["type"]):
            found = {boxes[other] for other in _reached(urn, resources, boxes) if other in boxes}
            if len(found) == 2:
                left, right = found
                yield left, right


def _references(resource: Resource) -> set[str]:
    """The resources whose outputs are in the inputs of this one."""
    return {urn for urns in (resource.get("propertyDependencies") or {}).values() for urn in urns or ()}
