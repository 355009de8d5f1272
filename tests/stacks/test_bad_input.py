"""A wrong workload or configuration on the real engine: one error that names the field, and nothing is registered."""

import json

import pytest


def set_workload(path, value):
    def change(workload):
        *parents, last = path
        place = workload
        for step in parents:
            place = place[step]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (set_workload(["models", 0, "traffic"], 90), "models: found"),
        (set_workload(["budget", "monthly_usd"], -1), "budget.monthly_usd: found `-1`"),
        (set_workload(["serving", "schedule"], "61 3 * * *"), 'serving.schedule: found `"61 3 * * *"`'),
        (set_workload(["serving", "mode"], "stream"), "serving.mode"),
        (set_workload(["data", "entity"], "nobody"), "data.entity"),
        (set_workload(["colour"], "blue"), 'colour: found `"blue"`; there is no such field'),
        (set_workload(["name"], "a-name-that-is-much-too-long-for-aws"), "name: found"),
    ],
)
def test_a_wrong_workload_is_refused_before_anything_is_registered(playground, no_traceback, change, expected):
    playground.edit_workload("credit_scoring", change)
    code, out, err = playground.command("up", "aws-batch")
    assert code == 1
    assert expected in out
    assert out.count("credit_scoring.yaml: ") + out.count("workload ") >= 1
    no_traceback(out + err)
    assert not playground.things()
    assert not [urn for urn in playground.state("aws-batch") if "pulumi:pulumi:Stack" not in urn]


@pytest.mark.parametrize(
    ("stack", "change", "expected"),
    [
        ("aws-batch", {"ml-blueprints:cloud": "ibm"}, 'ml-blueprints:cloud: found `"ibm"`'),
        ("aws-batch", {"ml-blueprints:architecture": "lambda"}, 'ml-blueprints:architecture: found `"lambda"`'),
        ("aws-batch", {"ml-blueprints:colour": "blue"}, "ml-blueprints:colour"),
        ("aws-batch", {"ml-blueprints:workload": "workloads/none.yaml"}, "workloads/none.yaml"),
        (
            "aws-streaming",
            {"ml-blueprints:workload": "workloads/churn.yaml"},
            "this stack's architecture is `streaming`",
        ),
        ("aws-batch", {"ml-blueprints:serving_image": "ml-serving:latest"}, "ml-blueprints:serving_image"),
        ("aws-batch", {"aws:region": None}, "aws:region: found nothing"),
        ("gcp-batch", {"gcp:project": None}, "gcp:project: found nothing"),
        ("azure-batch", {"azure-native:location": None}, "azure-native:location: found nothing"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_is_registered(
    playground, no_traceback, stack, change, expected
):
    def edit(config):
        config.update(change)
        for key in [key for key, value in config.items() if value is None]:
            del config[key]

    playground.edit_stack(stack, edit)
    code, out, err = playground.command("up", stack)
    assert code == 1
    assert expected in out
    no_traceback(out + err)
    assert not playground.things()


def test_an_incompatible_change_of_a_contract_stops_a_preview_with_field_and_rule(playground, no_traceback):
    contract = playground.repository / "pipelines" / "ml_pipelines" / "contracts" / "card_transaction"
    schema = json.loads((contract / "2.avsc").read_text())
    next(field for field in schema["fields"] if field["name"] == "amount")["type"] = "string"
    (contract / "3.avsc").write_text(json.dumps(schema))
    playground.edit_workload(
        "fraud_detection", set_workload(["data", "contract", "path"], f"{contract.as_posix()}/3.avsc")
    )
    code, out, err = playground.command("preview", "aws-streaming")
    assert code == 1
    printed = " ".join(out.split())
    assert "data.contract.path: found" in printed
    assert "field `amount`: version 3 reads `string` where version 2 wrote `double`; BACKWARD lets consumers" in printed
    assert "breaks on version 1, which acquirer-gateway (acquiring@example.com) writes" in printed
    no_traceback(out + err)
    assert not playground.things()


def test_an_edit_of_a_published_version_stops_a_preview(playground, no_traceback):
    contract = playground.repository / "pipelines" / "ml_pipelines" / "contracts" / "delivery"
    published = max(contract.glob("*.avsc"))
    published.write_text(
        published.read_text().replace('"distance_km", "type": "double"', '"distance_km", "type": "float"')
    )
    code, out, err = playground.command("preview", "aws-hybrid")
    assert code == 1
    printed = " ".join(out.split())
    assert f"version {published.stem} is not what was published" in printed
    no_traceback(out + err)
    assert not playground.things()


def test_a_stack_that_does_not_exist_is_said_with_those_that_do(playground):
    code, out, err = playground.command("up", "aws-nothing")
    assert code == 2
    assert not out
    assert "there is no stack aws-nothing" in err
    assert "gcp-hybrid" in err


def test_what_the_provider_refuses_names_resource_and_property(playground, no_traceback):
    def edit(config):
        config["ml-blueprints:network"] = {
            "existing_network": "vpc-0123456789abcdef0",
            "existing_subnets": ["subnet-0123456789abcdef0"],
        }

    playground.edit_stack("aws-batch", edit)
    code, out, err = playground.command("up", "aws-batch")
    assert code == 1
    assert "vpc-0123456789abcdef0" in out
    no_traceback(out + err)
