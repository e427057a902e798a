"""What `edgeprune ops` says of assembly holds: each operator is offered to every generator."""

from __future__ import annotations

import pytest

from edgeprune.firmware.assembled import how_computed
from edgeprune.firmware.kernels import KernelRequest, instruction_set, single_request
from edgeprune.firmware.kernels.flattening import flattened
from edgeprune.firmware.kernels.generators import candidates
from edgeprune.network import OPERATORS, Add, Tensor
from edgeprune.targets import list_targets, load_target
from tests.firmware.kernels.test_flattening import FLAT, OTHERS
from tests.firmware.kernels.test_tables import request_of
from tests.firmware.networks import residual
from tests.firmware.test_elementwise import gated


def examples() -> dict[str, list[KernelRequest]]:
    """Return requests by operator, of which assembly computes at least one or none."""
    found: dict[str, list[KernelRequest]] = {}
    networks = [
        single_request(network, index)
        for network in (residual(), gated(0))
        for index, operation in enumerate(network.operations)
        if operation.kind != "conv1d"  # many ways; `flat` has some of one
    ]
    tensors = {
        name: Tensor(name, (8, 4), scale, 0) for name, scale in zip("xys", (1, 1, 2), strict=True)
    }
    networks.append(KernelRequest("k", (Add(name="s", inputs=("x", "y"), output="s"),), tensors))
    flat = [flat for request in FLAT.values() if (flat := flattened(request))]
    for request in (*networks, *flat, *FLAT.values(), request_of((8, 4))):
        found.setdefault(request.operations[0].kind, []).append(request)
    return found


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m55"])
def test_what_is_said_to_be_assembly_is(name: str) -> None:
    target = load_target(name)
    instructions = instruction_set(target)
    assert instructions is not None
    for operator, requests in examples().items():
        offered = [bool(candidates(request, instructions)) for request in requests]
        if operator not in ("reshape", "requantize", "concat"):
            said = how_computed(operator, target)
            assert any(offered) == said.startswith("assembly"), (operator, said)
    assert not any(candidates(request, instructions) for request in OTHERS.values())


def test_every_operator_of_every_target_has_an_answer() -> None:
    for name in list_targets():
        target = load_target(name)
        said = {operator: how_computed(operator, target) for operator in OPERATORS}
        assert all(said.values())
        if target.is_linux:
            assert set(said.values()) == {"C, NEON by the compiler"}
