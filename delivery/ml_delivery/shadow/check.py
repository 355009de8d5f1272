"""The command: lists what an account has, and says what of it no stack owns."""

import argparse
import sys
from pathlib import Path

from ml_delivery.errors import DeliveryError
from ml_delivery.shadow import states
from ml_delivery.shadow.reports import FORMATS, Report
from ml_delivery.shadow.states import Owned
from ml_delivery.shadow.things import Inventory

# What must be said of each cloud besides the states.
_NEEDED = {"aws": ("region",), "gcp": ("project", "region"), "azure": ("subscription",)}


def run(options: argparse.Namespace) -> int:
    """List, compare, report; returns the exit code."""
    if missing := [f"--{name}" for name in _NEEDED[options.cloud] if not getattr(options, name)]:
        raise DeliveryError(f"{options.cloud} needs {' and '.join(missing)}")
    wanted = [(options.format, options.output), *((format_, Path(file)) for format_, file in options.also)]
    if unknown := sorted({format_ for format_, _ in wanted} - FORMATS.keys()):
        raise DeliveryError(f"{', '.join(unknown)} is no format; there are {', '.join(FORMATS)}")
    owned = states.read(options.states)
    report = compare(_inventory(options), owned, tuple(file.as_posix() for file in options.states))
    for format_, file in wanted:
        written = FORMATS[format_](report)
        if file is None:
            sys.stdout.write(written)
        else:
            file.write_text(written, encoding="utf-8")
    return report.code


def compare(inventory: Inventory, owned: Owned, files: tuple[str, ...]) -> Report:
    """What of an inventory the stacks own, what their pipelines made, and what is left."""
    strangers = [thing for thing in inventory.things if not owned.has(thing)]
    shadows = [thing for thing in strangers if not owned.made(thing)]
    return Report(
        inventory.place,
        len(inventory.things) - len(strangers),
        len(strangers) - len(shadows),
        tuple(sorted(shadows, key=lambda thing: (thing.kind, thing.name, thing.id))),
        tuple(inventory.unread),
        files,
    )


def _inventory(options: argparse.Namespace) -> Inventory:
    """Imported here: each of the clouds' SDKs takes seconds, and two of them aren't needed."""
    try:
        if options.cloud == "aws":
            from ml_delivery.shadow import aws

            return aws.inventory(options.region)
        if options.cloud == "gcp":
            from ml_delivery.shadow import gcp

            return gcp.inventory(options.project, options.region)
        from ml_delivery.shadow import azure

        return azure.inventory(options.subscription)
    except ModuleNotFoundError as error:
        raise DeliveryError(f"{error.name} isn't installed: `pip install 'ml-delivery[{options.cloud}]'`") from None
