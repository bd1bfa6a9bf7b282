"""Testcontainers modules: the emulator, the deployable container, and a stand-in for vLLM.

They need the extra `containers`, and images built from the Dockerfile at the top of the repository.
"""

try:
    import testcontainers.core.container  # noqa: F401
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "sagemaker_bidi.testing.containers needs testcontainers: install sagemaker-bidi[containers]"
    ) from error

from sagemaker_bidi.testing.containers.model import StandInContainer, VoxtralContainer
from sagemaker_bidi.testing.containers.service import SageMakerBidiContainer

__all__ = ["SageMakerBidiContainer", "StandInContainer", "VoxtralContainer"]
