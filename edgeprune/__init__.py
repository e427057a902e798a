"""Deploy medical signal classifiers to small devices, with proof of what runs there.

>>> import edgeprune
>>> result = edgeprune.build(edgeprune.load_config(None, {"target": "cortex-m7"}), "result")
>>> edgeprune.IntegerNetwork.load("result/network.safetensors").run(signal, rhythm)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.config import BuildConfig, load_config
    from edgeprune.network import IntegerNetwork
    from edgeprune.pipeline.build import BuildResult, build

__version__ = "0.1.0"

__all__ = ["BuildConfig", "BuildResult", "IntegerNetwork", "__version__", "build", "load_config"]

_HOMES = {
    "BuildConfig": "config",
    "BuildResult": "pipeline.build",
    "IntegerNetwork": "network",
    "build": "pipeline.build",
    "load_config": "config",
}

__getattr__ = late_names(__name__, _HOMES)
