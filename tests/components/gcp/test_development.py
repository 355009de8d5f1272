"""The development layer on Google Cloud: registries, the key that signs, experiments, and pipelines."""

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
GRANT = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
SECRET = "gcp:secretmanager/secret:Secret"


def test_images_are_immutable_and_encrypted(house, named):
    images = named(house, REPOSITORY, "fraud-detection-images").inputs
    assert images["format"] == "DOCKER"
    assert images["dockerConfig"] == {"immutableTags": True}
    assert images["kmsKeyName"] == KEY
    assert images["location"] == "europe-west1"


def test_images_without_a_tag_go_after_a_month(house, named):
    (policy,) = named(house, REPOSITORY, "fraud-detection-images").inputs["cleanupPolicies"]
    assert policy["action"] == "DELETE"
    assert policy["condition"] == {"tagState": "UNTAGGED", "olderThan": "2592000s"}


def test_each_model_has_one_place_however_many_versions_it_has(hybrid, streaming):
    places = [one.inputs["labels"]["model"] for one in hybrid.of_type(REPOSITORY) if one.inputs["format"] == "GENERIC"]
    assert len(places) == len(set(places))
    assert set(places) == set(hybrid.platform.development.registry)
    # Those of the workload's file, and whatever training may choose beside them.
    assert {"gradient-boosting", "sequence-network"} < set(streaming.platform.development.registry)
    assert "logistic-regression" in streaming.platform.development.registry


def test_models_are_encrypted_and_only_training_registers_versions(house, named):
    place = named(house, REPOSITORY, "fraud-detection-model-sequence-network").inputs
    assert place["format"] == "GENERIC"
    assert place["kmsKeyName"] == KEY
    assert place["labels"]["model"] == "sequence-network"
    assert len(place["repositoryId"]) <= 63
    writers = {
        grant.inputs["member"]
        for grant in house.of_type(GRANT)
        if grant.inputs["role"] == "roles/artifactregistry.writer" and grant.name.startswith("fraud-detection-training")
    }
    assert writers == {"serviceAccount:training@house.iam"}


def test_no_identity_of_a_purpose_writes_images(house):
    roles = {
        grant.inputs["role"]
        for grant in house.of_type(GRANT)
        if grant.name.endswith("-images") and grant.inputs["member"].endswith("@house.iam")
    }
    assert roles == {"roles/artifactregistry.reader"}


def test_experiments_are_encrypted(house):
    (tensorboard,) = house.of_type("gcp:vertex/aiTensorboard:AiTensorboard")
    assert tensorboard.inputs["encryptionSpec"] == {"kmsKeyName": KEY}
    assert tensorboard.inputs["region"] == "europe-west1"


def test_training_may_start_jobs_under_itself_only(streaming):
    grants = {grant.name: grant.inputs["role"] for grant in streaming.of_type("gcp:serviceaccount/iAMMember:IAMMember")}
    assert grants["fraud-detection-training-as-training"] == "roles/iam.serviceAccountUser"
    assert "fraud-detection-training-as-serving" not in grants


def test_compiled_pipelines_have_a_registry_of_their_own(house, named):
    pipelines = named(house, REPOSITORY, "fraud-detection-pipelines").inputs
    assert pipelines["format"] == "KFP"
    assert pipelines["kmsKeyName"] == KEY


def test_the_key_that_signs_is_a_secret_without_a_value(house, named):
    secret = named(house, SECRET, "fraud-detection-signing-key").inputs
    (replica,) = secret["replication"]["userManaged"]["replicas"]
    assert replica == {"location": "europe-west1", "customerManagedEncryption": {"kmsKeyName": KEY}}
    assert not house.of_type("gcp:secretmanager/secretVersion:SecretVersion")
    assert "expireTime" not in secret


def test_training_alone_reads_the_key_that_signs(house):
    (reader,) = house.of_type("gcp:secretmanager/secretIamMember:SecretIamMember")
    assert reader.inputs["role"] == "roles/secretmanager.secretAccessor"
    assert reader.inputs["member"] == "serviceAccount:training@house.iam"


def test_who_takes_models_on_reads_models_and_no_data(once):
    taker = "training@next.iam"
    built = once("fraud_detection", promotes_to=[taker])
    readers = [grant.inputs for grant in built.of_type(GRANT) if grant.inputs["member"] == f"serviceAccount:{taker}"]
    assert {reader["role"] for reader in readers} == {"roles/artifactregistry.reader"}
    (objects,) = (
        grant.inputs
        for grant in built.of_type("gcp:storage/bucketIAMMember:BucketIAMMember")
        if grant.inputs["member"] == f"serviceAccount:{taker}"
    )
    assert "objects/runs/" in objects["condition"]["expression"]
    assert objects["condition"]["expression"].startswith("!")
