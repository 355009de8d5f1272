"""The generated pages: what they say of given outputs and definitions; that they are fresh, tests/stacks checks."""

import json
import re
from pathlib import Path

import pytest
import yaml
from docs import generate
from ml_blueprints.capabilities import CAPABILITIES
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Workload

REPOSITORY = Path(__file__).parents[2]


def outputs(cloud: str, **capabilities: list[str]) -> dict[str, object]:
    """The outputs of a stack whose capabilities are realised by resources of these types."""
    return {
        "workload": "churn",
        "capabilities": {
            capability.replace("_", "-"): [
                f"urn:pulumi:{cloud}-batch::ml-blueprints::ml-blueprints:{cloud}:Data${type_}::thing-{number}"
                for number, type_ in enumerate(types)
            ]
            for capability, types in capabilities.items()
        },
    }


@pytest.fixture
def rows() -> list[list[str]]:
    """The rows of a page in which only the batch stacks have anything, cell by cell."""
    nothing = {f"{cloud}-{kind}": outputs(cloud) for cloud in generate.CLOUDS for kind in ("streaming", "hybrid")}
    page = generate.equivalence_page(
        nothing
        | {
            "aws-batch": outputs("aws", data_lake=["aws:s3/bucket:Bucket"] * 4, budget=["aws:budgets/budget:Budget"]),
            "gcp-batch": outputs("gcp", data_lake=["gcp:storage/bucket:Bucket"]),
            "azure-batch": outputs(
                "azure", budget=["azure-native:monitor:MetricAlert", "azure-native:consumption:Budget"]
            ),
        }
    )
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]


def test_a_resource_is_named_as_its_sdk_names_it_and_counted(rows):
    assert ["data-lake", "`s3.Bucket` x 4", "`storage.Bucket`", "none"] in rows


def test_several_types_stand_side_by_side_and_what_a_cloud_lacks_is_seen(rows):
    assert ["budget", "`budgets.Budget`", "none", "`consumption.Budget`, `monitor.MetricAlert`"] in rows


def test_what_no_cloud_has_in_an_architecture_has_no_row_there(rows):
    assert {row[0] for row in rows} == {"capability", "---", "data-lake", "budget"}


def test_every_capability_is_explained():
    page = (REPOSITORY / "docs" / "equivalence.md").read_text()
    for capability in CAPABILITIES.values():
        assert f"- **{capability.id}** ({capability.layer}): {capability.sentence}" in page
        assert capability.note in page


def test_every_field_of_every_workload_and_stack_is_on_the_page_of_inputs():
    listed = set(re.findall(r"^\| `([^`]+)`", generate.inputs_page(), re.MULTILINE))
    for file in (REPOSITORY / "stacks" / "workloads").iterdir():
        assert missing(paths(yaml.safe_load(file.read_text())), listed) == set()
    for file in (REPOSITORY / "stacks").glob("Pulumi.*.yaml"):
        config = yaml.safe_load(file.read_text())["config"]
        ours = {key: value for key, value in config.items() if key.startswith("ml-blueprints:")}
        assert missing(paths(ours), listed) == set()


def missing(found: set[str], listed: set[str]) -> set[str]:
    """The paths that aren't listed, but for the names that a user may choose below a field that is."""
    return {path for path in found if path not in listed and path.rpartition(".")[0] not in listed}


def paths(node: object, prefix: str = "") -> set[str]:
    """The paths of the leaves, `[].` where there is a list of objects."""
    if isinstance(node, dict):
        return set().union(*(paths(value, f"{prefix}.{key}" if prefix else key) for key, value in node.items()))
    if isinstance(node, list) and isinstance(node[0], dict):
        return set().union(*(paths(item, f"{prefix}[]") for item in node))
    return {prefix}


def test_every_input_has_a_meaning_and_bounds_are_told():
    for line in generate.inputs_page().splitlines():
        if line.startswith("| `"):
            assert all(cell.strip() for cell in line.strip("|").split("|")), line
    assert "| `network.zones` |" not in generate.inputs_page()
    assert "| `ml-blueprints:network.zones` | integer, at least 2, at most 3 | `2` |" in generate.inputs_page()
    assert "| `data.entity` | string | required |" in generate.inputs_page()


@pytest.mark.parametrize("model", [Workload, Settings])
def test_every_field_is_described_where_it_is_defined(model):
    definition = model.model_json_schema()
    for part in (definition, *definition["$defs"].values()):
        assert part["description"]
        for name, field in part.get("properties", {}).items():
            refers = field.get("$ref") or any("$ref" in option for option in field.get("anyOf", ()))
            assert refers or field.get("description"), f"{part['title']}.{name}"


def test_the_schema_for_editors_is_json_and_refuses_unknown_fields():
    schema = json.loads(generate.schema())
    assert schema["additionalProperties"] is False
    assert schema["required"][0] == "name"
