"""Testcontainers modules: the emulator, the deployable container, and a stand-in for vLLM.

They need the extra `containers`, and images built from the Dockerfile at the top of the repository.
"""

from sagemaker_bidi.extras import needs

with needs("containers", "sagemaker_bidi.testing.containers"):
    import testcontainers.core.container  # noqa: F401

from sagemaker_bidi.testing.containers.model import StandInContainer, VoxtralContainer
from sagemaker_bidi.testing.containers.service import SageMakerBidiContainer

__all__ = ["SageMakerBidiContainer", "StandInContainer", "VoxtralContainer"]
