"""The guard, gates, stores of features, settings, places and telemetry, each alone."""

import json
import logging
import subprocess
import sys
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import azure.core.exceptions
import azure.storage.blob
import boto3
import botocore.session
import google.api_core.exceptions
import google.cloud.storage
import moto
import pytest
from botocore.stub import Stubber
from ml_pipelines.serving import object_stores, telemetry
from ml_pipelines.serving.captured import Captured
from ml_pipelines.serving.features import RedisStore, SageMakerStore, StoreError, VertexStore
from ml_pipelines.serving.guard import Watch, lower_end
from ml_pipelines.serving.kinds import KINDS
from ml_pipelines.serving.models import load
from ml_pipelines.serving.places import finder
from ml_pipelines.serving.refusal import RefusedError
from ml_pipelines.serving.settings import SettingError, Settings
from ml_pipelines.serving.table import Guard, Tenant
from ml_pipelines.serving.tenants import Gate
from ml_pipelines.serving.trust import ModelError, Trust
from ml_pipelines.steps import manifest
from ml_pipelines.tasks.task import Kind
from prometheus_client import CollectorRegistry

from .conftest import KEY, register, table


def noted(watch, failures, count, seconds=0.001):
    return next((reason for place in range(count) if (reason := watch.note(place < failures, seconds))), None)


def test_the_guard_withdraws_what_fails_too_often():
    assert "failed" in noted(Watch(Guard(0.01)), 20, 100)
    assert noted(Watch(Guard(0.01)), 1, 19) is None


def test_one_failure_among_many_is_no_reason():
    watch = Watch(Guard(0.01))
    assert noted(watch, 0, 100) is None
    assert noted(watch, 1, 1) is None
    assert noted(watch, 0, 5000) is None


def test_the_guard_withdraws_what_is_slow():
    assert "40.0 ms in the mean" in noted(Watch(Guard(0.01, 20)), 0, 30, 0.04)
    assert noted(Watch(Guard(0.01, 50)), 0, 30, 0.04) is None


def test_failures_long_ago_are_forgotten():
    watch = Watch(Guard(0.5))
    noted(watch, 10, 1000)
    noted(watch, 0, 1000)
    assert watch._failures == 0


def test_wilson():
    # https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval, worked by hand for 5 of 20.
    assert lower_end(5, 20) == pytest.approx(0.1119, abs=1e-4)
    assert lower_end(0, 20) == pytest.approx(0, abs=1e-12)


def test_a_gate_lets_in_as_much_as_is_a_tenants():
    gate = Gate(Tenant("shop", 5, 3, "shop"))
    for _ in range(3):
        gate.enter()
    with pytest.raises(RefusedError, match="at a time"):
        gate.enter()
    for _ in range(3):
        gate.leave()
    for _ in range(2):
        gate.enter()
        gate.leave()
    with pytest.raises(RefusedError, match="its rate"):
        gate.enter()
    time.sleep(0.25)
    gate.enter()


TYPES = {"amount_1h": "float", "count": "integer", "abroad": "boolean", "favourite": "string"}
VALUES = {"amount_1h": 1.5, "count": 3, "abroad": True, "favourite": "5"}


def test_features_of_a_feature_group():
    client = botocore.session.get_session().create_client(
        "sagemaker-featurestore-runtime", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    record = {"card_id": "card-1", "amount_1h": "1.5", "count": "3", "abroad": "1", "favourite": "5"}
    with Stubber(client) as stub:
        stub.add_response(
            "get_record",
            {"Record": [{"FeatureName": name, "ValueAsString": value} for name, value in record.items()]},
            {"FeatureGroupName": "group", "RecordIdentifierValueAsString": "card-1"},
        )
        stub.add_response("get_record", {})
        stub.add_client_error("get_record", "ThrottlingException")
        store = SageMakerStore(client, "group", TYPES)
        assert store.read("card-1") == VALUES
        assert store.read("card-2") == {}
        with pytest.raises(StoreError, match="group"):
            store.read("card-1")


def test_features_that_the_event_processor_wrote_to_redis():
    """What one writes, as it writes it, the other reads."""
    from ml_pipelines.streaming.azure import RedisFeatureStore

    kept = {}

    class Client:
        def register_script(self, script):
            def write(keys, args):
                pairs = [str(part).encode() for part in args[3:]]
                kept[keys[0]] = {b"order": b"1"} | dict(zip(pairs[::2], pairs[1::2], strict=True))

            return write

        def hgetall(self, key):
            return kept.get(key, {})

    decision = {"entity": "card-1", "order": 1, "event_time": 1, "features": VALUES | {"none": None}}
    RedisFeatureStore(Client(), "fraud", 1000).write([decision])
    store = RedisStore(Client(), "fraud", TYPES)
    assert store.read("card-1") == VALUES
    assert store.read("card-2") == {}


def test_features_of_a_feature_view():
    view = "projects/p/locations/europe-west1/featureOnlineStores/s/featureViews/v"
    features = [
        {"name": "amount_1h", "value": {"doubleValue": 1.5}},
        {"name": "count", "value": {"int64Value": "3"}},
        {"name": "abroad", "value": {"boolValue": True}},
        {"name": "favourite", "value": {"stringValue": "5"}},
        {"name": "feature_timestamp", "value": {"int64Value": "9"}},
    ]
    answers = [(200, {"keyValues": {"features": features}}), (404, {}), (503, {})]
    asked = []

    def post(url, json, timeout):
        asked.append((url, json))
        status, body = answers[len(asked) - 1]
        return SimpleNamespace(status_code=status, json=lambda: body, text="")

    store = VertexStore(SimpleNamespace(post=post), view, TYPES)
    assert store.read("card-1") == VALUES
    assert store.read("card-2") == {}
    with pytest.raises(StoreError, match="503"):
        store.read("card-1")
    assert asked[0][0] == f"https://europe-west1-aiplatform.googleapis.com/v1/{view}:fetchFeatureValues"
    assert asked[0][1]["dataKey"] == {"key": "card-1"}


GOOD = {"ML_BLUEPRINTS_ROUTING": json.dumps(table()), "TRUSTED_KEYS": manifest.as_word(KEY.public_key())}


def test_ports_and_routes_are_those_of_the_platform():
    assert Settings.read(GOOD).port == 8080
    assert Settings.read(GOOD | {"PORT": "9000"}).port == 9000
    vertex = Settings.read(GOOD | {"AIP_HTTP_PORT": "9001", "PORT": "9000", "AIP_PREDICT_ROUTE": "/p"})
    assert (vertex.port, vertex.predict) == (9001, "/p")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ML_BLUEPRINTS_ROUTING": ""}, "ML_BLUEPRINTS_ROUTING: found nothing"),
        ({"ML_BLUEPRINTS_ROUTING": "{"}, "isn't JSON"),
        ({"ML_BLUEPRINTS_ROUTING_FILE": "/none"}, "ML_BLUEPRINTS_ROUTING_FILE: /none can't be read"),
        ({"TRUSTED_KEYS": ""}, "TRUSTED_KEYS: found nothing"),
        ({"TRUSTED_KEYS": "ed25519:rubbish"}, "TRUSTED_KEYS: ed25519:rubbish"),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT: found `prod`"),
        ({"PORT": "web"}, "PORT: found `web`"),
        ({"TOKEN_ISSUER": "x"}, "TOKEN_AUDIENCE, TOKEN_KEYS: found nothing"),
        ({"ML_BLUEPRINTS_ROUTING": json.dumps(table(tenants={"shop": 5}))}, "TOKEN_ISSUER: found nothing"),
    ],
)
def test_wrong_settings_are_named(changed, said):
    with pytest.raises(SettingError) as refused:
        Settings.read(GOOD | changed)
    assert said in str(refused.value)


def test_a_platform_puts_the_one_model_where_it_likes(tmp_path):
    register(tmp_path / "models", "trees", "1.0.0")
    folder = tmp_path / "models" / "trees" / "1.0.0"
    for variables, sagemaker in (
        ({"MODELS": str(tmp_path / "models")}, tmp_path),
        ({}, folder),
        ({"AZUREML_MODEL_DIR": str(folder)}, tmp_path),
        ({"AZUREML_MODEL_DIR": str(folder.parent)}, tmp_path),
    ):
        assert finder(variables, sagemaker)("trees", "1.0.0") == folder
    with pytest.raises(ModelError, match=r"found no manifest\.json"):
        finder({}, tmp_path / "none")("trees", "1.0.0")


def test_a_version_is_found_wherever_its_manifest_is(tmp_path):
    # As SageMaker has them: the first model, and further ones in folders of their channels.
    model, beside = tmp_path / "model", tmp_path / "additional-model-data-sources"
    register(tmp_path, "trees", "1.0.0").rename(model)
    for version, channel in (("1.1.0", "canary"), ("2.0.0", "own")):
        beside.mkdir(exist_ok=True)
        register(tmp_path, "trees", version).rename(beside / channel)
    find = finder({}, model)
    assert find("trees", "1.0.0") == model
    assert find("trees", "1.1.0") == beside / "canary"
    assert find("trees", "2.0.0") == beside / "own"
    (beside / "broken").mkdir()
    (beside / "broken" / "manifest.json").write_text("{")
    with pytest.raises(ModelError) as refused:
        find("trees", "3.0.0")
    for said in ("looked for `trees/3.0.0/manifest.json`", str(model), "canary: trees/1.1.0", "broken: no manifest"):
        assert said in str(refused.value)


@pytest.fixture(params=["gs", "s3", "abfss"])
def objects(request, monkeypatch, tmp_path):
    """A store of a cloud with a registry below `registry/`; its URL, and how an object of it is read."""
    register(tmp_path, "trees", "1.0.0")
    register(tmp_path, "trees", "1.1.0").rename(tmp_path / "elsewhere")
    files = {
        f"registry/{file.relative_to(tmp_path)}": file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()
    }
    if request.param == "s3":
        with moto.mock_aws():
            monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
            client = boto3.client("s3")
            place = {"LocationConstraint": "eu-central-1"}
            client.create_bucket(Bucket="lake", CreateBucketConfiguration=place)
            for name, content in files.items():
                client.put_object(Bucket="lake", Key=name, Body=content)
            yield "s3://lake/registry", lambda name: client.get_object(Bucket="lake", Key=name)["Body"].read()
        return
    if request.param == "gs":
        monkeypatch.setattr(google.cloud.storage, "Client", lambda: Bucket(files))
        yield "gs://lake/registry/", files.__getitem__
        return

    def opened(account, container, credential):
        assert (account, container, credential) == ("https://acme.blob.core.windows.net", "lake", "client-id")
        return Container(files)

    monkeypatch.setenv("IDENTITY", "client-id")
    monkeypatch.setattr(azure.storage.blob, "ContainerClient", opened)
    monkeypatch.setattr("ml_pipelines.streaming.azure_identity.credential", lambda identity: identity)
    yield "abfss://lake@acme.dfs.core.windows.net/registry", files.__getitem__


class Bucket:
    """Client, bucket and blob of Cloud Storage in one."""

    def __init__(self, files, name=""):
        self.files, self.name = files, name

    def bucket(self, name):
        assert name == "lake"
        return self

    def list_blobs(self, bucket, prefix, delimiter=None):
        if delimiter is None:
            return [Bucket(self.files, name) for name in sorted(self.files) if name.startswith(prefix)]
        folders, names = directly_below(self.files, prefix)
        return Pages([Bucket(self.files, name) for name in names], folders)

    @property
    def updated(self):
        return datetime.now(UTC)

    def blob(self, name):
        return Bucket(self.files, name)

    def download_as_bytes(self):
        return self.files[self.name]

    def upload_from_string(self, content, content_type, if_generation_match=None):
        if if_generation_match == 0 and self.name in self.files:
            raise google.api_core.exceptions.PreconditionFailed("there is one")
        self.files[self.name] = content


def directly_below(files, prefix):
    """Folders and objects directly below a prefix, as stores list them by a delimiter."""
    rest = {name.removeprefix(prefix) for name in files if name.startswith(prefix)}
    folders = {prefix + name.partition("/")[0] + "/" for name in rest if "/" in name}
    return folders, sorted(prefix + name for name in rest if "/" not in name)


class Pages:
    """What Cloud Storage answers: prefixes are known once the pages were read."""

    def __init__(self, blobs, folders):
        self._blobs, self._folders, self.prefixes = blobs, folders, set()

    def __iter__(self):
        yield from self._blobs
        self.prefixes = self._folders


class Container:
    """A container of Azure's blobs."""

    def __init__(self, files):
        self.files = files

    def list_blob_names(self, name_starts_with):
        return iter([name for name in sorted(self.files) if name.startswith(name_starts_with)])

    def walk_blobs(self, name_starts_with, delimiter):
        folders, names = directly_below(self.files, name_starts_with)
        for name in sorted(folders):
            yield azure.storage.blob.BlobPrefix(prefix=name)
        for name in names:
            yield SimpleNamespace(name=name, last_modified=datetime.now(UTC))

    def download_blob(self, name):
        return SimpleNamespace(readall=lambda: self.files[name])

    def upload_blob(self, name, content, overwrite, content_settings):
        if not overwrite and name in self.files:
            raise azure.core.exceptions.ResourceExistsError("there is one")
        self.files[name] = content


def test_versions_and_lines_lie_in_a_clouds_object_store(objects):
    url, read = objects
    find = finder({"MODELS": url, "IDENTITY": "client-id"})
    trust = Trust([KEY.public_key()])
    for version in ("1.0.0", "1.1.0"):
        assert load("trees", version, find("trees", version), trust).version == version
    with pytest.raises(ModelError, match=r"found elsewhere/: trees/1\.1\.0, trees/1\.0\.0/: trees/1\.0\.0"):
        find("trees", "9.9.9")
    kept = Captured(url, "requests", every=60)
    kept([{"number": 1}])
    kept.close()
    folder = object_stores.open_folder(url)
    written = [name for name in folder.names("requests/") if name.endswith(".jsonl")]
    assert [folder.read(name) for name in written] == [b'{"number":1}\n'] == [read(f"registry/{written[0]}")]


def test_a_store_lists_folders_and_what_was_written_since(objects):
    folder = object_stores.open_folder(objects[0])
    assert folder.listed() == (["elsewhere/", "trees/"], [])
    assert folder.listed("trees/") == (["trees/1.0.0/"], [])
    assert folder.listed("trees/1.0.0/").folders == []
    now = round(time.time() * 1000)
    assert folder.listed("trees/1.0.0/", now - 3_600_000).names == folder.names("trees/") != []
    assert folder.listed("trees/1.0.0/", now + 3_600_000).names == []
    folder.write("lines.jsonl", b"{}", "application/json")
    assert folder.listed() == (["elsewhere/", "trees/"], ["lines.jsonl"])


def test_an_object_is_created_once(objects):
    url, read = objects
    folder = object_stores.open_folder(url)
    assert folder.create("once.json", b"1", "application/json")
    assert not folder.create("once.json", b"2", "application/json")
    assert read("registry/once.json") == b"1"


def test_a_store_that_cant_be_read_is_named(monkeypatch):
    def refuse():
        raise OSError("no credentials")

    monkeypatch.setattr(google.cloud.storage, "Client", refuse)
    with pytest.raises(ModelError, match=r"gs://lake/x can't be read: OSError: no credentials"):
        finder({"MODELS": "gs://lake/x"})("trees", "1.0.0")


def test_lines_are_kept_and_what_is_too_much_is_dropped(tmp_path, caplog):
    kept = Captured(str(tmp_path), "requests", every=60, most=1_000_000)
    for number in range(5000):
        kept([{"number": number, "text": "x" * 1000}])
    assert 0 < kept.dropped < 5000
    kept.close()
    lines = [json.loads(line) for file in tmp_path.glob("requests/day=*/*.jsonl") for line in file.open()]
    assert [line["number"] for line in lines] == list(range(5000 - kept.dropped))
    assert f"{kept.dropped} lines of requests were too many" in caplog.text


def test_a_place_that_can_not_be_written_to_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    kept = Captured(str(tmp_path / "file"), "requests", every=60)
    kept([{"number": 1}])
    kept.close()
    assert "1 lines can't be written" in caplog.text


def test_a_line_of_the_log_is_json():
    record = logging.LogRecord("serving", logging.ERROR, "", 0, 'said "%s"', ("no",), None)
    record.fields = {"model": "trees/1.0.0"}
    line = json.loads(telemetry.JsonLines().format(record))
    assert (line["severity"], line["message"], line["model"]) == ("ERROR", 'said "no"', "trees/1.0.0")
    assert line["time"].endswith("Z")


def test_without_a_collector_nothing_is_traced():
    assert telemetry.tracing({}) is None
    assert telemetry.send_metrics(CollectorRegistry(), {}) is None


def test_kinds_of_inputs_are_those_of_tasks():
    # Serving names them itself, so that it starts without the libraries of tasks.
    assert set(KINDS) == {kind.value for kind in Kind}


def test_serving_starts_without_the_libraries_of_tasks():
    look = "import sys, ml_pipelines.serving.server; print(*sorted({'ibis', 'pandas', 'pyarrow'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


def test_a_tenant_has_a_quota_by_the_day(monkeypatch):
    now = [86_400.0 * 20_000 + 3_600]
    monkeypatch.setattr("ml_pipelines.serving.tenants.time.time", lambda: now[0])
    gate = Gate(Tenant("shop", 1000, 100, "", requests_per_day=6), share=0.5)
    gate.enter()
    # Each row counts.
    gate.charge(2)
    with pytest.raises(RefusedError, match="more requests than its quota") as refused:
        gate.enter()
    assert (refused.value.status, refused.value.retry_after) == (429, 82_800)
    now[0] += 82_800
    gate.enter()
    assert gate.running == 2
    assert (gate.concurrency, Gate(Tenant("bank", 5, 1, ""), share=0.1).concurrency) == (50, 1)
