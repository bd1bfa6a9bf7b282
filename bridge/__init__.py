"""The container's own server: SageMaker's bidirectional stream on 8080 to vLLM on 8081."""

from bridge.app import create_app
from bridge.observe import SessionEnd, SessionLog, SessionObserver, SideEnd
from bridge.server import BridgeServer, CannotListen
from bridge.settings import Settings, SettingsError, read_settings

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
