"""Writes the generated pages: equivalence.md and architectures/ from a run of all stacks, the others from definitions.

`make docs` brings all stacks up in a sandbox of their own, writes the pages, and forgets the sandbox. The tests compare
the pages with a run of theirs, so that they can't go stale.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docs import architectures, datasets, pipelines, rules
from docs.architectures import CLOUDS
from docs.markdown import heads, row, type_name
from ml_blueprints.capabilities import CAPABILITIES, Capability
from ml_blueprints.settings import Settings
from ml_blueprints.workload import ArchitectureKind, Workload
from rich.console import Console
from sandbox import home, project
from sandbox.errors import SandboxError
from sandbox.progress import Progress, print_summary
from sandbox.session import Session, open_session
from sandbox.stacks import Batch, Operation, Phase, StackRun

PAGES = Path(__file__).parent

Outputs = Mapping[str, Any]


def main() -> int:
    """Write all pages; returns the exit code."""
    console = Console()
    try:
        started = time.monotonic()
        with home.temporary():
            runs = [StackRun(stack) for stack in project.stack_names(home.REPOSITORY)]
            session = open_session(console)
            with Progress(console, runs) as progress:
                Batch(session, Operation.UP, parallel=2).run(runs, progress.show)
            print_summary(console, Operation.UP, runs, time.monotonic() - started)
            if failed := [run.name for run in runs if run.phase is not Phase.DONE]:
                raise SandboxError(f"no page was written, as {', '.join(failed)} did not come up")
            states = {run.name: exported(session, run.name) for run in runs}
    except (SandboxError, OSError) as error:
        print(f"docs: {error}", file=sys.stderr)
        return 2
    for name, text in pages({run.name: run.outputs for run in runs}, states).items():
        file = PAGES / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        console.print(f"wrote {file}")
    return 0


def exported(session: Session, stack: str) -> architectures.State:
    """What the engine has saved of a stack. Raises SandboxError where it can't tell."""
    answer = subprocess.run(
        [session.pulumi, "stack", "export", "--stack", stack],
        cwd=session.project,
        env=session.environment,
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        raise SandboxError(f"`pulumi stack export --stack {stack}` failed: {answer.stderr.strip()}")
    return json.loads(answer.stdout)


def pages(outputs: Mapping[str, Outputs], states: Mapping[str, architectures.State]) -> dict[str, str]:
    """File name -> text of every generated page, from the outputs and exported states of all stacks by their names."""
    return {
        **architectures.pages(states),
        "datasets.md": datasets.page(),
        "equivalence.md": equivalence_page(outputs),
        "inputs.md": inputs_page(),
        "pipelines.md": pipelines.page(),
        "rules.md": rules.page(),
        "workload.schema.json": schema(),
    }


def equivalence_page(outputs: Mapping[str, Outputs]) -> str:
    """For each architecture, which resources realise each capability on each cloud, as its stacks said."""
    return "\n".join(_equivalence(outputs)) + "\n"


def _equivalence(outputs: Mapping[str, Outputs]) -> Iterator[str]:
    yield "# Equivalence"
    yield ""
    yield (
        "What realises each capability on each cloud, as the nine stacks said it after `pulumi up`. `make docs` writes "
        "this page; a test compares it with a run. `x 2` means two resources of a type."
    )
    for kind in ArchitectureKind:
        stacks = {cloud: outputs[f"{cloud}-{kind.value}"] for cloud in CLOUDS}
        workload = next(iter(stacks.values()))["workload"]
        yield from ("", f"## {kind.title()}: {workload}", "")
        yield from heads("capability", *CLOUDS.values())
        for capability in CAPABILITIES.values():
            if any(capability.id in stack["capabilities"] for stack in stacks.values()):
                cells = [_resources(stack["capabilities"].get(capability.id, [])) for stack in stacks.values()]
                yield from row(f"{capability.id}", *cells)
    yield from ("", "## The capabilities", "")
    for capability in CAPABILITIES.values():
        yield from _sentence(capability)


def _resources(urns: list[str]) -> str:
    """The types of resources as the SDKs' Python modules name them, and how many there are of each."""
    counts = Counter(_type(urn) for urn in urns)
    return ", ".join(f"`{name}`" + f" x {count}" * (count > 1) for name, count in sorted(counts.items())) or "none"


def _type(urn: str) -> str:
    """The resource's own type, which is the last of those in its URN."""
    return type_name(urn.split("::")[2].rpartition("$")[2])


def _sentence(capability: Capability) -> Iterator[str]:
    yield f"- **{capability.id}** ({capability.layer}): {capability.sentence} {capability.note}".rstrip()


def inputs_page() -> str:
    """Every field of a workload file and of a stack's configuration."""
    return "\n".join(_inputs()) + "\n"


def _inputs() -> Iterator[str]:
    yield from (
        "# Inputs",
        "",
        "`make docs` writes this page from `workload.py` and `settings.py`; a test compares it.",
    )
    for title, introduction, model, prefix in (
        ("Workload", "A file in `stacks/workloads/`; `workload.schema.json` is for editors.", Workload, ""),
        ("Stack", "The `config` of `stacks/Pulumi.<stack>.yaml`.", Settings, "ml-blueprints:"),
    ):
        definition = model.model_json_schema()
        yield from ("", f"## {title}", "", introduction, "")
        yield from heads("field", "takes", "default", "meaning")
        for path, field, required in _fields(definition, definition, prefix):
            default = "required" if required else f"`{json.dumps(field.get('default', {}))}`"
            yield from row(f"`{path}`", _takes(field), default, field["description"])


def _fields(
    node: Mapping[str, Any], definition: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """The leaves of a JSON schema: path (`[]` where there is a list of them), schema, whether it must be given."""
    for name, raw in node["properties"].items():
        field, path = _resolved(raw, definition), f"{prefix}{name}"
        if "properties" in field:
            yield from _fields(field, definition, f"{path}.")
        elif "properties" in (item := _resolved(field.get("items", {}), definition)):
            yield from _fields(item, definition, f"{path}[].")
        else:
            yield path, field, name in node.get("required", ())


def _resolved(field: Mapping[str, Any], definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """A field with what it refers to, and without the null that only means that it may be left out."""
    if "anyOf" in field:
        (chosen,) = (option for option in field["anyOf"] if option.get("type") != "null")
        field = chosen | {name: value for name, value in field.items() if name != "anyOf"}
    if "$ref" in field:
        field = definition["$defs"][field["$ref"].rpartition("/")[2]] | field
    return field


def _takes(field: Mapping[str, Any]) -> str:
    """The type and bounds of a field in a few words."""
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kind = field["type"]
    if "prefixItems" in field:
        return f"list of {len(field['prefixItems'])}: {_takes(field['prefixItems'][0])}"
    if kind == "array":
        return f"list: {_takes(field['items'])}" if "type" in field["items"] else "list"
    bounds = [
        f"{words} {field[key]}"
        for key, words in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in field
    ]
    return ", ".join([kind, *bounds])


def schema() -> str:
    """The JSON schema of workload files, by which editors complete and check them."""
    return json.dumps(Workload.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
