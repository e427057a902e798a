"""From an IntegerNetwork to C sources, images and a host library."""

from edgeprune.firmware.footprint import Footprint, FootprintRow, check_fit, predict_footprint
from edgeprune.firmware.host import HostLibrary, build_host_library
from edgeprune.firmware.image import Image, compile_image
from edgeprune.firmware.layouts import LAYOUTS, package
from edgeprune.firmware.lowering import Layer, Program, lower
from edgeprune.firmware.plan import MemoryPlan, Place, memory_plan
from edgeprune.firmware.programs import PROGRAMS
from edgeprune.firmware.selection import OBJECTIVES, implement, implement_portably
from edgeprune.firmware.sources import FirmwareSources, Golden, generate, require_front_end
from edgeprune.firmware.symbols import SymbolSize
from edgeprune.firmware.toolchains import TOOLCHAINS
from edgeprune.firmware.writer import Labels

__all__ = [
    "LAYOUTS",
    "OBJECTIVES",
    "PROGRAMS",
    "TOOLCHAINS",
    "FirmwareSources",
    "Footprint",
    "FootprintRow",
    "Golden",
    "HostLibrary",
    "Image",
    "Labels",
    "Layer",
    "MemoryPlan",
    "Place",
    "Program",
    "SymbolSize",
    "build_host_library",
    "check_fit",
    "compile_image",
    "generate",
    "implement",
    "implement_portably",
    "lower",
    "memory_plan",
    "package",
    "predict_footprint",
    "require_front_end",
]
