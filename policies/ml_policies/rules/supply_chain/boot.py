"""How machines start: only with software that is what its maker has signed."""

from ml_policies.checks import Check, all_of, equals
from ml_policies.rule import Rule, Severity

_REGISTRY = "https://www.pulumi.com/registry/packages/gcp/api-docs/"


def _shielded(place: str, page: str) -> Check:
    """Secure boot, which is off unless asked for, with the virtual TPM and the watch over integrity, which are on."""
    return all_of(
        equals(f"{place}.enableSecureBoot", True, default=False, source=_REGISTRY + page),
        equals(f"{place}.enableVtpm", True, default=True, source=_REGISTRY + page),
        equals(f"{place}.enableIntegrityMonitoring", True, default=True, source=_REGISTRY + page),
    )


def _trusted(place: str) -> Check:
    """Trusted launch of Azure, with the parts that don't come with it by themselves."""
    return all_of(
        equals(f"{place}.securityType", "TrustedLaunch"),
        equals(f"{place}.uefiSettings.secureBootEnabled", True),
        equals(f"{place}.uefiSettings.vTpmEnabled", True),
    )


RULES = (
    Rule(
        "MLB-SUP-012",
        "Notebooks and machines start only with signed software, and show when it was changed.",
        Severity.MEDIUM,
        "Switch on secure boot, the virtual TPM and the monitoring of integrity.",
        checks={
            "gcp:workbench/instance:Instance": _shielded("gceSetup.shieldedInstanceConfig", "workbench/instance/"),
            "gcp:compute/instance:Instance": _shielded("shieldedInstanceConfig", "compute/instance/"),
            "gcp:compute/instanceTemplate:InstanceTemplate": _shielded(
                "shieldedInstanceConfig", "compute/instancetemplate/"
            ),
            "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": _shielded(
                "shieldedInstanceConfig", "compute/regioninstancetemplate/"
            ),
            "gcp:colab/runtimeTemplate:RuntimeTemplate": equals(
                "shieldedVmConfig.enableSecureBoot", True, default=False, source=_REGISTRY + "colab/runtimetemplate/"
            ),
            "azure-native:compute:VirtualMachine": _trusted("securityProfile"),
            "azure-native:compute:VirtualMachineScaleSet": _trusted("virtualMachineProfile.securityProfile"),
        },
        missing={
            "aws": "SageMaker has no such switch, and secure boot of EC2 is a property of the image, not of machines."
        },
        references=("checkov:CKV_GCP_39", "checkov:CKV_GCP_126", "checkov:CKV_GCP_127"),
    ),
)
