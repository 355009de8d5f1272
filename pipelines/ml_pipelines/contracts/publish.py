"""`python -m ml_pipelines.contracts.publish azure`: put a contract's published versions into Azure's schema registry.

Glue and Pub/Sub get their schemas from the stacks. Azure's management plane has only the groups; schemas are put into
one by its data plane, by who may write there. A version that is there already keeps its id: to run it twice is safe.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ml_pipelines.contracts import catalog


def published(contract: catalog.Contract, folder: Path) -> dict[int, Mapping[str, Any]]:
    """The versions of a contract that its contract.yaml has as published, the oldest first."""
    terms = yaml.safe_load((folder / "contract.yaml").read_text(encoding="utf-8"))
    numbers = (terms or {}).get("published") or {}
    return {version: schema for version, schema in contract.versions.items() if version in numbers}


def to_azure(registry: Any, group: str, versions: Mapping[int, Mapping[str, Any]]) -> dict[int, str]:
    """Register versions in a group, the oldest first, and return their ids.

    `registry` is azure.schemaregistry's client. A schema's name is the record's full one, as Azure's serialisers ask.
    """
    ids = {}
    for version, schema in sorted(versions.items()):
        name = f"{schema['namespace']}.{schema['name']}" if "namespace" in schema else schema["name"]
        ids[version] = registry.register_schema(group, name, json.dumps(schema), "Avro").id
    return ids


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish and print the ids; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.contracts.publish", description=__doc__)
    parser.add_argument("cloud", choices=["azure"], help="the others' registries are filled by the stacks")
    parser.add_argument("--contract", required=True, choices=catalog.names(), help="name of the contract's folder")
    parser.add_argument("--namespace", required=True, help="host name of the Event Hubs namespace")
    parser.add_argument("--group", default="contracts", help="schema group (default: contracts)")
    options = parser.parse_args(arguments)

    from azure.core.exceptions import AzureError
    from azure.identity import DefaultAzureCredential
    from azure.schemaregistry import SchemaRegistryClient

    versions = published(catalog.contract(options.contract), catalog.FOLDER / options.contract)
    try:
        with SchemaRegistryClient(options.namespace, DefaultAzureCredential()) as registry:
            for version, schema_id in to_azure(registry, options.group, versions).items():
                print(f"{options.contract} version {version}: {schema_id}")
    except AzureError as error:
        print(f"publish: {options.contract} to group {options.group} of {options.namespace}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
