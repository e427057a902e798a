"""Networks written as QDQ ONNX: read back equal, and computed by onnxruntime."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from edgeprune.network import read_qdq, write_qdq
from edgeprune.verification.runtimes import compare_layers
from tests.network.strategies import Case, cases


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_what_is_written_is_read_back_equal(case: Case) -> None:
    assert read_qdq(write_qdq(case.network)) == case.network


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases(most_operations=5))
def test_onnxruntime_is_within_one_lsb_a_layer(case: Case) -> None:
    pytest.importorskip("onnxruntime")
    for row in compare_layers(case.network, case.inputs, "onnxruntime", each_alone=True):
        assert row.largest_difference <= 1, row


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_the_same_network_gives_the_same_bytes(case: Case) -> None:
    assert write_qdq(case.network) == write_qdq(case.network)
