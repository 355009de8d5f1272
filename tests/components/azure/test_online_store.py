"""The online store on Azure: its size, that it forgets nothing, and who comes to it is logged."""

import pytest
from ml_blueprints.azure import online_store

DATABASE = "azure-native:redisenterprise:Database"


@pytest.mark.parametrize(
    ("events", "size"),
    [(1, "B5"), (5_000, "B5"), (5_001, "B10"), (20_000, "B20"), (20_001, "B50"), (50_001, "B100"), (200_000, "B100")],
)
def test_a_store_has_the_smallest_size_that_is_enough(events, size):
    assert online_store.sku(events) == f"Balanced_{size}"


@pytest.mark.parametrize("platform", ["streaming", "hybrid"])
def test_windows_are_never_forgotten_and_survive_both_nodes(request, platform):
    built = request.getfixturevalue(platform)
    (database,) = built.of_type(DATABASE)
    assert database.inputs["evictionPolicy"] == "NoEviction"
    assert database.inputs["persistence"] == {"aofEnabled": True, "aofFrequency": "1s"}
    assert built.platform.context.register.realised["window-state"][0].urn is not None


def test_connections_are_logged(streaming, named):
    setting = named(streaming, "azure-native:monitor:DiagnosticSetting", "fraud-detection-online-logs")
    (database,) = streaming.of_type(DATABASE)
    assert setting.inputs["resourceUri"] == database.id
