"""The README of a generated library documents every function of its header."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.firmware import generate
from edgeprune.firmware.interface_text import documented, prototypes
from edgeprune.firmware.toolchains import host_command
from edgeprune.targets import Adc, load_target
from tests.firmware.conftest import labels
from tests.firmware.networks import behind_front_end, r1


@pytest.mark.parametrize("has_front_end", [False, True])
def test_every_function_has_its_contract(
    tmp_path: Path, host_compiler: str, has_front_end: bool
) -> None:
    network = behind_front_end() if has_front_end else r1()
    front_end = BeatFrontEnd.for_adc(Adc(250.0, 5.0, 11)) if has_front_end else None
    hop = None if has_front_end else 32
    generate(network, front_end, load_target("host"), labels(network), tmp_path, hop=hop)
    header = (tmp_path / "edgeprune_model.h").read_text()
    found = documented(header)
    assert [one for entry in found for one in entry.prototypes] == list(prototypes(header))
    assert all(entry.paragraphs for entry in found)
    text = (tmp_path / "README.md").read_text()
    # What the preprocessor leaves of the header are its functions, whatever our pattern thinks.
    compiler = host_command(host_compiler)
    left = subprocess.run(
        [*compiler, "-E", "-P", str(tmp_path / "edgeprune_model.h")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = set(re.findall(r"\b(edgeprune_\w+) ?\(", left))
    assert {"edgeprune_classify", "edgeprune_version", "edgeprune_network_hash"} <= names
    assert ("edgeprune_push_beat" in names) is has_front_end
    assert ("edgeprune_stream" in names) is not has_front_end
    for name in names:
        assert re.search(rf"^.*\b{name}\(.*;$", text, re.M), name


def test_comments_become_paragraphs() -> None:
    header = """
#define A 1 /* no function */

/* Does it.
 *
 * first   one value
 * second  another
 *
 *     while (again) { step(); }
 *
 * More
 * words. */
int edgeprune_first(const int8_t *a,
                    int b);
void edgeprune_second(void);

#define B(x) edgeprune_third(x);
"""
    (entry,) = documented(header)
    assert entry.prototypes == (
        "int edgeprune_first(const int8_t *a, int b);",
        "void edgeprune_second(void);",
    )
    assert entry.paragraphs == (
        "Does it.",
        "    first   one value\n    second  another",
        "    while (again) { step(); }",
        "More words.",
    )
