"""Messages of Pulumi's SDK: those for debugging stay here, all others reach the engine."""

import pytest
from ml_blueprints import lean_log
from pulumi import log
from pulumi.runtime import settings


@pytest.fixture
def told(monkeypatch):
    """What an engine is told, as (severity, message)."""
    found = []

    class Engine:
        def Log(self, request):  # noqa: N802 (the protocol's name)
            found.append((request.severity, request.message))

    monkeypatch.setattr(settings, "get_engine", Engine)
    # What is installed is taken away after the test.
    monkeypatch.setattr(log, "debug", log.debug)
    return found


@pytest.mark.parametrize(("wanted", "severities"), [(None, [1, 2, 3]), ("true", [0, 1, 2, 3])])
def test_the_engine_is_told_of_debugging_only_where_it_is_wanted(told, monkeypatch, wanted, severities):
    if wanted:
        monkeypatch.setenv("ML_BLUEPRINTS_DEBUG", wanted)
    lean_log.install()
    for say in (log.debug, log.info, log.warn, log.error):
        say("something", stream_id=1, ephemeral=False)
    assert told == [(severity, "something") for severity in severities]
