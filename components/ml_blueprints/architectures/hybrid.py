"""Hybrid: fast inference with asynchronous retraining. For delivery times and the like."""

from ml_blueprints.architectures.architecture import Architecture
from ml_blueprints.workload import ArchitectureKind, Mode


class Hybrid(Architecture):
    """Requests are answered at once from online features, while events and labels collect in the lake.

    Batch scoring and training follow them there, in their own time.
    """

    kind = ArchitectureKind.HYBRID
    stream = True
    online = True
    modes = frozenset({Mode.REAL_TIME, Mode.BATCH})
