"""The container's own server: SageMaker's bidirectional stream on 8080 to vLLM on 8081."""

from sagemaker_bidi_bridge.app import create_app
from sagemaker_bidi_bridge.observe import SessionEnd, SessionLog, SessionObserver, SideEnd
from sagemaker_bidi_bridge.server import BridgeServer, CannotListen
from sagemaker_bidi_bridge.settings import Settings, SettingsError, read_settings

__all__ = [
    "BridgeServer",
    "CannotListen",
    "SessionEnd",
    "SessionLog",
    "SessionObserver",
    "Settings",
    "SettingsError",
    "SideEnd",
    "create_app",
    "read_settings",
]
