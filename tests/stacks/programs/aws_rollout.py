"""The endpoints, their rollback and the router of a workload on AWS, with as little around them as they take.

The stack's configuration and its workload file are those of `aws-hybrid`; a test edits the latter.
"""

import json
from pathlib import Path
from types import SimpleNamespace

from ml_blueprints import capabilities
from ml_blueprints.aws.endpoint import Endpoint
from ml_blueprints.aws.fleets import fleets
from ml_blueprints.aws.rollback import Rollback
from ml_blueprints.aws.router import Router
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose, Settings
from ml_blueprints.workload import Workload
from pulumi_aws import cloudwatch, ec2, iam, kms, s3, sagemaker

ACCOUNT, REGION = "123456789012", "eu-west-1"

settings = Settings.from_config()
workload = Workload.load(Path(__file__).parent / settings.workload)
register = capabilities.Register("aws", capabilities.asked_by(settings.architecture, workload))
context = Context(workload.name, workload, settings, register)

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
vpc = ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
role = iam.Role("serving", assume_role_policy=TRUST)
foundation = SimpleNamespace(
    account=ACCOUNT,
    region=REGION,
    key=kms.Key("key").arn,
    subnets=[ec2.Subnet("private", vpc_id=vpc.id, cidr_block="10.0.1.0/24").id],
    security_group=ec2.SecurityGroup("workloads", vpc_id=vpc.id),
    log_group=cloudwatch.LogGroup("logs"),
    boundary=iam.Policy("boundary", policy=TRUST),
    identities={Purpose.SERVING: role.arn},
    rights=lambda purpose: [],
    use_network=lambda: (),
)
lake = s3.Bucket("lake").bucket.apply(lambda name: f"s3://{name}")
group = sagemaker.FeatureGroup(
    "features",
    feature_group_name="features",
    record_identifier_feature_name="entity",
    event_time_feature_name="time",
    role_arn=role.arn,
    feature_definitions=[{"feature_name": name, "feature_type": "String"} for name in ("entity", "time")],
)
features = SimpleNamespace(online=group.feature_group_name, feature_group=group)
image = settings.serving_image

endpoints = {
    fleet.tenant: Endpoint(context, foundation, SimpleNamespace(zones=dict.fromkeys(Zone, lake)), image, fleet, lake)
    for fleet in fleets(workload)
}
for endpoint in endpoints.values():
    if endpoint.canary_alarms:
        Rollback(context, foundation, endpoint)
Router(context, foundation, image, features, endpoints)
