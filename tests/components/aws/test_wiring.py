"""What holds for every resource on AWS: where it hangs, what it is tagged with; and that layers use each other."""

import pytest
from sandbox import schema

LAYERS = ["Foundation", "Data", "Features", "Development", "Serving", "Monitoring", "Delivery"]
AWS = schema.package("aws")

PLATFORMS = pytest.mark.parametrize("platform", ["streaming", "batch", "hybrid", "house", "hybrid_house"])


@PLATFORMS
def test_every_layer_hangs_on_the_architecture(request, platform):
    built = request.getfixturevalue(platform)
    (architecture,) = [
        resource for resource in built.resources if resource.type.startswith("ml-blueprints:architectures:")
    ]
    for layer in LAYERS:
        (component,) = built.of_type(f"ml-blueprints:aws:{layer}")
        assert component.parent == architecture.urn


@PLATFORMS
def test_every_resource_hangs_on_its_layer(request, platform):
    built = request.getfixturevalue(platform)
    by_urn = {resource.urn: resource for resource in built.resources}
    layers = {f"ml-blueprints:aws:{layer}" for layer in LAYERS}
    for resource in built.resources:
        if not resource.custom:
            continue
        above = by_urn[resource.parent]
        while above.type not in layers:
            above = by_urn[above.parent]
        assert resource.name.startswith(f"{built.platform.context.name}-")


@PLATFORMS
def test_everything_that_takes_tags_has_them(request, platform):
    built = request.getfixturevalue(platform)
    expected = built.platform.context.tags
    assert expected["workload"] == built.platform.context.name
    for resource in built.resources:
        if resource.custom and "tags" in AWS.resource(resource.type).inputs:
            assert expected.items() <= resource.inputs.get("tags", {}).items(), f"{resource.type} {resource.name}"


@pytest.mark.parametrize(
    ("token", "name", "uses"),
    [
        ("aws:kinesis/stream:Stream", "events", {"key"}),
        ("aws:sagemaker/featureGroup:FeatureGroup", "features", {"key", "features", "ingest"}),
        ("aws:sagemaker/pipeline:Pipeline", "training", {"key", "raw", "models", "images", "training", "signing"}),
        ("aws:sagemaker/model:Model", "gradient-boosting-1-2-0", {"models", "images", "serving", "workloads"}),
        ("aws:lambda/function:Function", "processor", {"features", "endpoint", "images", "ingest", "private-1"}),
        ("aws:sagemaker/pipeline:Pipeline", "drift", {"endpoint", "curated", "models", "monitoring", "key"}),
        ("aws:cloudwatch/eventTarget:EventTarget", "retraining", {"retraining", "monitoring"}),
        ("aws:cloudwatch/eventRule:EventRule", "retraining", {"drift"}),
        ("aws:iam/policy:Policy", "deployer-own", {"images", "training", "retraining"}),
    ],
)
def test_each_layers_principal_resource_refers_to_its_neighbours(streaming, named, token, name, uses):
    resource = named(streaming, token, f"fraud-detection-{name}")
    used = {urn.rpartition("::")[2].removeprefix("fraud-detection-") for urn in resource.depends_on}
    assert uses <= used
