"""Streaming first: events are scored as they arrive. For fraud detection and real-time personalisation."""

from ml_blueprints.architectures.architecture import Architecture
from ml_blueprints.workload import ArchitectureKind, Mode


class Streaming(Architecture):
    """Events flow from the stream through the processor, which keeps the online features and asks the endpoint.

    What was scored is watched for drift and trained on.
    """

    kind = ArchitectureKind.STREAMING
    stream = True
    online = True
    modes = frozenset({Mode.STREAM, Mode.REAL_TIME})
