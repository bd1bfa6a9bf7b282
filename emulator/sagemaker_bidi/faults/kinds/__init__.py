"""The faults that a plan may name. Importing this package registers them all."""

import importlib
import pkgutil

from sagemaker_bidi.faults.fault import (
    FAULTS,
    AnyFault,
    Fault,
    Kind,
    OpeningFault,
    Removal,
    Scene,
    SessionFault,
    fault,
)

__all__ = [
    "FAULTS",
    "AnyFault",
    "Fault",
    "Kind",
    "OpeningFault",
    "Removal",
    "Scene",
    "SessionFault",
    "fault",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
