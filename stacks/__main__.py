"""One program for nine stacks: the stack's configuration says which cloud, which architecture and which workload."""

import atexit
import gc
from pathlib import Path

import pulumi

# The SDKs define thousands of classes that live to the end: looking through them for garbage, while the program runs
# and once more when Python ends, takes a quarter of a preview.
gc.disable()
atexit.register(gc.freeze)

from ml_blueprints import lean_imports, lean_log  # noqa: E402

lean_imports.install()
lean_log.install()

from ml_blueprints import platform  # noqa: E402
from ml_blueprints.errors import BlueprintError  # noqa: E402

try:
    built = platform.from_config(Path(__file__).parent)
except BlueprintError as error:
    raise pulumi.RunError(str(error)) from None

pulumi.export("cloud", built.context.settings.cloud)
pulumi.export("architecture", built.kind.value)
pulumi.export("workload", built.context.workload.name)
pulumi.export("champion", f"{built.context.workload.champion.name} {built.context.workload.champion.version}")
pulumi.export("endpointUrl", built.endpoint_url)
pulumi.export("capabilitiesAsked", sorted(built.context.register.asked))
pulumi.export("capabilities", built.capabilities)
pulumi.export("sizing", built.sizing)
pulumi.export("delivery", built.delivered)
pulumi.export("cost", built.cost)
