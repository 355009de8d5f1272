"""The development layer on Google Cloud: registries, experiments, and the training pipeline."""

import json

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
GRANT = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
WORKFLOW = "gcp:workflows/workflow:Workflow"


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
    places = [repository.name for repository in hybrid.of_type(REPOSITORY)]
    assert places == ["delivery-eta-images", "delivery-eta-model-gradient-boosting"]
    assert set(streaming.platform.development.registry) == {"gradient-boosting", "sequence-network"}


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


def test_training_runs_under_its_identity_with_key_network_and_tracker(house, named):
    pipeline = named(house, WORKFLOW, "fraud-detection-training").inputs
    assert pipeline["serviceAccount"] == "training@house.iam"
    assert pipeline["cryptoKeyName"] == KEY
    body = json.loads(pipeline["sourceContents"])["main"]["steps"][0]["run"]["args"]["body"]
    assert body["encryptionSpec"] == {"kmsKeyName": KEY}
    assert body["labels"]["workload"] == "fraud-detection"
    specification = body["jobSpec"]
    assert specification["serviceAccount"] == "training@house.iam"
    assert "fraud-detection-jobs" in specification["pscInterfaceConfig"]["networkAttachment"]
    (tensorboard,) = house.of_type("gcp:vertex/aiTensorboard:AiTensorboard")
    assert specification["tensorboard"] == tensorboard.id
    assert specification["baseOutputDirectory"]["outputUriPrefix"].endswith("/candidates")


def test_training_runs_the_image_of_the_settings_from_our_own_repository(streaming, named):
    source = named(streaming, WORKFLOW, "fraud-detection-training").inputs["sourceContents"]
    (pool,) = json.loads(source)["main"]["steps"][0]["run"]["args"]["body"]["jobSpec"]["workerPoolSpecs"]
    image = pool["containerSpec"]["imageUri"]
    assert image.startswith("europe-west1-docker.pkg.dev/")
    assert "/ml-serving@sha256:" in image


def test_training_may_start_jobs_under_itself_only(streaming):
    grants = {grant.name: grant.inputs["role"] for grant in streaming.of_type("gcp:serviceaccount/iAMMember:IAMMember")}
    assert grants["fraud-detection-training-as-training"] == "roles/iam.serviceAccountUser"
    assert "fraud-detection-training-as-serving" not in grants
