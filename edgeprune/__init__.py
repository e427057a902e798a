"""Deploy medical signal classifiers to small devices, with proof of what runs there.

>>> import edgeprune
>>> result = edgeprune.build(edgeprune.load_config(None, {"target": "cortex-m7"}), "result")
>>> edgeprune.IntegerNetwork.load("result/network.safetensors").run(signal, rhythm)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeprune.config import BuildConfig, load_config
    from edgeprune.network import IntegerNetwork
    from edgeprune.pipeline.build import BuildResult, build

__version__ = "0.1.0"

__all__ = ["BuildConfig", "BuildResult", "IntegerNetwork", "__version__", "build", "load_config"]

_HOMES = {
    "BuildConfig": "edgeprune.config",
    "BuildResult": "edgeprune.pipeline.build",
    "IntegerNetwork": "edgeprune.network",
    "build": "edgeprune.pipeline.build",
    "load_config": "edgeprune.config",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import edgeprune` stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
