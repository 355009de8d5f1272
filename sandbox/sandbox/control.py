"""The commands on the sandbox's clouds: list what exists, delete or edit it behind Pulumi's back, plan faults."""

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sandbox import faults, home
from sandbox.errors import SandboxError
from sandbox.provider.cloud import Cloud, CloudError
from sandbox.provider.clouds import CLOUDS, open_cloud
from sandbox.store import Record

_STEP = re.compile(r"([A-Za-z_$][\w$-]*)|\[(\d+)\]|\[\"([^\"]*)\"\]")


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `list`, `delete`, `edit` and `fault`; each sets `func` to what runs it and returns its exit code."""
    text = "list what exists on the sandbox's clouds"
    listing = commands.add_parser("list", help=text, description=text)
    listing.add_argument("cloud", nargs="?", choices=CLOUDS)
    listing.add_argument("--type", default="*", metavar="PATTERN", help="such as 'aws:s3/*'")
    listing.add_argument("--json", action="store_true", help="with inputs and outputs, secrets included")
    listing.set_defaults(func=_list)

    text = "delete one thing behind Pulumi's back; `pulumi refresh` then finds it gone"
    deletion = commands.add_parser("delete", help=text, description=text)
    _add_choice_of_one(deletion)
    deletion.set_defaults(func=_delete)

    text = "change one property behind Pulumi's back; `pulumi refresh` then finds the drift"
    edit = commands.add_parser("edit", help=text, description=text)
    _add_choice_of_one(edit)
    edit.add_argument("assignment", metavar="PATH=VALUE", help="such as tags.owner=me or retentionInDays=7")
    edit.set_defaults(func=_edit)

    text = "plan faults of a cloud, or show those that are planned"
    fault = commands.add_parser("fault", help=text, description=text)
    fault.add_argument("cloud", choices=CLOUDS)
    fault.add_argument("--type", default="*", metavar="PATTERN", help="only of these types, such as 'aws:s3/*'")
    fault.add_argument("--fail-create", type=_positive, metavar="N", help="let the N-th creation fail")
    fault.add_argument("--throttle", type=_positive, metavar="N", help="refuse the next N calls by `Rate exceeded`")
    fault.add_argument(
        "--delay", type=_positive, metavar="MS", help="let every call take that many milliseconds longer"
    )
    fault.add_argument("--clear", action="store_true", help="forget all planned faults first")
    fault.set_defaults(func=_fault)


def _add_choice_of_one(command: argparse.ArgumentParser) -> None:
    command.add_argument("cloud", choices=CLOUDS)
    command.add_argument("id", help="its id, ARN, self-link or name")
    command.add_argument("--type", default="*", metavar="PATTERN", help="where things of several types have that id")


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _list(options: argparse.Namespace) -> int:
    found = [
        (name, record) for name in _existing(options.cloud) for record in open_cloud(name).store.find(options.type)
    ]
    if options.json:
        things = [
            {
                "cloud": name,
                "type": record.type,
                "scope": record.scope,
                "id": record.id,
                "urn": record.urn,
                "inputs": record.inputs,
                "outputs": record.outputs,
            }
            for name, record in found
        ]
        print(json.dumps(things, indent=2))
        return 0
    width = max((len(record.type) for _, record in found), default=0)
    for _, record in found:
        print(f"{record.type:{width}}  {record.id}" + (f"  ({record.scope})" if record.scope else ""))
    if not found:
        print("Nothing exists.")
    return 0


def _delete(options: argparse.Namespace) -> int:
    cloud = open_cloud(options.cloud)
    record = _the_one(cloud, options.id, options.type)
    with cloud.store.change():
        contents = cloud.contents(record.key)
        for key in [*contents, record.key]:
            cloud.store.remove(key)
    also = f", and {len(contents)} things in it" if contents else ""
    print(f"Deleted {record.type} {record.id}{also}.")
    return 0


def _edit(options: argparse.Namespace) -> int:
    path, separator, text = options.assignment.partition("=")
    if not separator:
        raise SandboxError(f"`{options.assignment}` is not of the form PATH=VALUE, such as tags.owner=me")
    cloud = open_cloud(options.cloud)
    record = _the_one(cloud, options.id, options.type)
    if record.type not in cloud.schema.tokens:
        raise SandboxError(f"{record.type} is made by an API of its own, which alone can change it; delete it instead")
    # As the provider that made it was configured.
    cloud.configuration = {name: record.outputs[name] for name in ("project", "region") if name in record.outputs}
    schema = cloud.schema.resource(record.type)
    steps = list(_steps(path))
    if steps[0] not in schema.inputs:
        raise SandboxError(f"{record.type} has no property `{steps[0]}` that could be set")
    value = _value(text)
    inputs, outputs = _with(record.inputs, steps, value, path), _with(record.outputs, steps, value, path)
    failures = cloud.check(schema, inputs)
    if failures:
        raise SandboxError("; ".join(f"{failure.path}: {failure.reason}" for failure in failures))
    changed = replace(record, inputs=inputs, outputs=outputs)
    with cloud.store.change():
        try:
            uses = cloud.check_references(schema, inputs)
        except CloudError as error:
            raise SandboxError(str(error)) from None
        cloud.store.replace(changed, cloud.identifiers(record.id, outputs), uses)
    print(f"{record.type} {record.id}: {path} is now {json.dumps(value)}.")
    return 0


def _fault(options: argparse.Namespace) -> int:
    store = open_cloud(options.cloud).store
    if options.clear:
        print(f"Cleared {store.clear_faults()} faults.")
    for kind in faults.KINDS:
        amount = getattr(options, kind.replace("-", "_"))
        if amount is not None:
            store.add_fault(kind, options.type, amount)
    for kind, pattern, amount, seen in store.planned_faults():
        print(f"{kind} {amount} ({faults.KINDS[kind]}) of {pattern}, met {seen} times")
    return 0


def _existing(package: str | None) -> list[str]:
    return [package] if package else [name for name in CLOUDS if home.cloud_state(name).exists()]


def _the_one(cloud: Cloud, id_: str, pattern: str) -> Record:
    """The resource of an id, or of another identifier. Raises SandboxError unless there is exactly one."""
    found = cloud.store.find(pattern, id_)
    if not found:
        wanted = {record.key: record for record in cloud.store.find(pattern)}
        found = [wanted[key] for key in cloud.store.identified_by(cloud.normal(id_)) if key in wanted]
    if not found:
        raise SandboxError(
            f"there is no `{id_}` on {cloud.package}; `python -m sandbox list {cloud.package}` shows all"
        )
    if len(found) > 1:
        types = ", ".join(sorted(record.type + (f" in {record.scope}" if record.scope else "") for record in found))
        raise SandboxError(f"`{id_}` is the id of {len(found)} things on {cloud.package}; choose with --type: {types}")
    return found[0]


def _steps(path: str) -> Iterator[str | int]:
    """`a.b[0]` as `a`, `b`, 0."""
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise SandboxError(f"`{path}` is not a path of properties such as tags.owner or rules[0].priority")
        name, index, key = match.groups()
        yield int(index) if index is not None else name or key
        position = match.end() + (path[match.end() : match.end() + 1] == ".")
    if not path:
        raise SandboxError("the path of the property is missing before `=`")


def _with(value: Any, steps: list[str | int], new: Any, path: str) -> Any:
    """A copy of a value in which one inner value is another."""
    if not steps:
        return new
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        if not isinstance(value, list) or step >= len(value):
            raise SandboxError(f"{path}: there is no element {step}")
        return [*value[:step], _with(value[step], rest, new, path), *value[step + 1 :]]
    if value is not None and not isinstance(value, dict):
        raise SandboxError(f"{path}: `{step}` is not within an object")
    return {**(value or {}), step: _with((value or {}).get(step), rest, new, path)}


def _value(text: str) -> Any:
    """JSON if it is that, else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
