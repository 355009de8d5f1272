"""Lean imports: the same things as without, from fewer modules. Each test is a Python of its own, as imports stay."""

import subprocess
import sys

import pytest

PACKAGES = {"aws": "pulumi_aws", "gcp": "pulumi_gcp", "azure": "pulumi_azure_native"}
PLATFORM = "import importlib; importlib.import_module('ml_blueprints.{cloud}')"
LEAN = "from ml_blueprints import lean_imports; lean_imports.install()"


def run(*lines: str) -> str:
    """What a program prints."""
    program = "\n".join(lines)
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


NAMES = (
    "pulumi_gcp.compute.Network",
    "pulumi_gcp.compute.SubnetworkLogConfigArgs",
    "pulumi_gcp.organizations.get_client_config_output",
    "pulumi_gcp.compute.outputs.SubnetworkLogConfig",
    "pulumi_aws.s3.Bucket",
    "pulumi_aws.ec2.VpcEndpoint",
    "pulumi_aws.lambda_.EventSourceMapping",
    "pulumi_aws.get_caller_identity_output",
    "pulumi_azure_native.network.PublicIPAddressSkuArgs",
    "pulumi_azure_native.storage.PublicAccess",
    "pulumi_azure_native.machinelearningservices.ManagedServiceIdentityArgs",
    "pulumi_azure_native.authorization.get_client_config_output",
)


def test_a_name_means_the_same_as_without():
    look = f"""
import importlib
for name in {NAMES}:
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    print(name, found.__module__, found.__qualname__)"""
    lean, whole = run(LEAN, look), run(look)
    assert lean == whole
    assert len(whole.splitlines()) == len(NAMES)


@pytest.mark.parametrize("cloud", PACKAGES)
def test_a_platform_is_made_of_fewer_modules(cloud):
    count = f"import sys; print(sum(name.startswith('{PACKAGES[cloud]}.') for name in sys.modules))"
    platform = PLATFORM.format(cloud=cloud)
    assert int(run(LEAN, platform, count)) < 0.6 * int(run(platform, count))


def test_a_resource_does_not_bring_its_siblings():
    printed = run(
        LEAN, "from pulumi_aws import ec2", "ec2.Vpc", "import sys", "print('pulumi_aws.ec2.subnet' in sys.modules)"
    )
    assert printed == "False"


def test_what_is_not_where_it_should_be_is_found_in_the_whole_package():
    """The class's module is named otherwise than the class."""
    look = "from pulumi_azure_native import machinelearningservices as ml"
    assert run(LEAN, look, "print(hasattr(ml, 'nothing_of_this_name'))") == "False"
    assert run(LEAN, look, "print(ml.typing.__name__)") == "typing"


def test_after_that_the_package_is_whole():
    look = "from pulumi_aws import kms; hasattr(kms, 'nothing_of_this_name')"
    everything = "print(sorted(name for name in dir(kms) if not name.startswith('_')))"
    lean = run(LEAN, look, everything)
    assert lean == run(look, everything)
    assert "'Key'" in lean


def test_a_second_call_changes_nothing():
    count = "import sys; print(sum(type(finder).__module__.endswith('lean_imports') for finder in sys.meta_path))"
    assert run(LEAN, LEAN, count) == "1"


def test_other_packages_are_left_alone():
    assert (
        run(LEAN, "import pulumi_aws.config.vars", "print(pulumi_aws.config.vars.__name__)") == "pulumi_aws.config.vars"
    )
