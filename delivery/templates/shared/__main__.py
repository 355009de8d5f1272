"""${DESCRIPTION}"""

from pathlib import Path

import pulumi
from ml_blueprints import lean_imports

lean_imports.install()

from ml_blueprints import platform  # noqa: E402
from ml_blueprints.errors import BlueprintError  # noqa: E402

try:
    built = platform.from_config(Path(__file__).parent)
except BlueprintError as error:
    raise pulumi.RunError(str(error)) from None

pulumi.export("cloud", built.context.settings.cloud)
pulumi.export("workload", built.context.workload.name)
pulumi.export("champion", f"{built.context.workload.champion.name} {built.context.workload.champion.version}")
pulumi.export("endpointUrl", built.endpoint_url)
pulumi.export("capabilities", built.capabilities)
pulumi.export("delivery", built.delivered)
pulumi.export("cost", built.cost)
