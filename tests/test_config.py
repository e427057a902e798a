"""The configuration: precedence, types, and errors that help."""

from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprune.config import (
    BuildConfig,
    CertifiedShare,
    ModificationSettings,
    PccpSettings,
    ProductSettings,
    Requirements,
    RiskSettings,
    RobustnessSettings,
    VerificationSettings,
    load_config,
)
from edgeprune.config_text import EXAMPLE_REQUIREMENTS, EXAMPLE_ROWS, render_config
from edgeprune.errors import ConfigurationError, EdgepruneError, UnknownNameError


def _write(folder: Path, text: str) -> Path:
    path = folder / "edgeprune.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_override_the_file_and_the_file_overrides_the_defaults(tmp_path: Path) -> None:
    path = _write(tmp_path, 'target = "cortex-m4"\nseed = 7\n[pruning]\nratio = 0.25\n')
    config = load_config(path, {"seed": 9, "target": None, "pruning.steps": 3})
    assert (config.target, config.seed) == ("cortex-m4", 9)
    assert (config.pruning.ratio, config.pruning.steps) == (0.25, 3)
    assert config.training == BuildConfig().training


def test_unknown_key_names_file_line_and_the_nearest_key(tmp_path: Path) -> None:
    path = _write(tmp_path, "seed = 1\n\n[pruning]\nration = 0.5\n")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, {})
    assert caught.value.where == f"{path}:4"
    assert "did you mean 'ratio'?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('seed = "one"', 1, "a whole number"),
        ("[pruning]\nratio = true", 2, "a number"),
        ("[requirements]\naccuracy = 93", 0, "not a share"),
        ("[requirements.sensitivity]\nV = 92.0", 0, "sensitivity.V"),
        ("[verification]\nseconds = -1", 0, "outside 0.0 to"),
        ('[verification]\nperturbations = "linf:20uV"', 2, "an array"),
        ("pruning = 3", 1, "a table"),
        ("[pruning]\nratio = 0.995", 0, "outside 0.0 to 0.99"),
        ('[product]\nend_of_support = "soon"', 0, "which is no date"),
        ("[product]\nname = 3", 2, "a text in quotes"),
        ('[product]\nintended_uses = "x"', 2, "did you mean 'intended_use'?"),
        ('[[risks]]\nharm = "none"', 0, "'risks.hazard' is missing"),
        ('[[risks]]\nhazard = "x"\nseverty = "y"', 3, "did you mean 'severity'?"),
        ('[[risks]]\nhazard = " "', 0, "'risks.0.hazard' is empty"),
        ('[[pccp.modifications]]\ntitel = "x"', 2, "did you mean 'title'?"),
        ('[[pccp.modifications]]\ntitle = ""', 0, "'pccp.modifications.0.title' is empty"),
    ],
)
def test_a_wrong_value_says_what_is_wanted(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, {})
    assert words in str(caught.value)
    if line:
        assert caught.value.where == f"{path}:{line}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('profile = "fdaa"', "did you mean 'fda'?"),
        ('[product]\nsafety_class = "D"', "known: A, B, C"),
    ],
)
def test_an_unknown_name_says_which_there_are(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(words)):
        load_config(_write(tmp_path, text), {})


def test_whatever_is_trained_for_or_required_is_verified() -> None:
    config = BuildConfig(
        verification=VerificationSettings(perturbations=("linf:5uV", "gain:10%")),
        robustness=RobustnessSettings(perturbation="linf:5uV"),
        requirements=Requirements(certified_share=CertifiedShare("hum:1mV@50Hz", 0.5)),
    )
    assert config.perturbations == ("linf:5uV", "gain:10%", "hum:1mV@50Hz")


def test_whatever_is_required_under_attack_or_disturbance_is_tried(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        '[attacks]\nballs = ["linf:5uV"]\n[disturbances]\ncases = ["hum:100uV"]\n'
        "[requirements]\nattack_success = { 'l2:1mV' = 0.5, 'linf:5uV' = 0.1 }\n"
        "sensitivity_under = { 'muscle:6dB' = { V = 0.8 } }\n",
    )
    config = load_config(path, {})
    assert config.balls == ("linf:5uV", "l2:1mV")
    assert config.disturbance_texts == ("hum:100uV", "muscle:6dB")
    with pytest.raises(ConfigurationError, match="sensitivity_under.muscle:6dB.V"):
        load_config(path, {"requirements.sensitivity_under": {"muscle:6dB": {"V": 80}}})


def test_nested_requirements_are_typed(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "[requirements]\naccuracy = 0.9\n"
        "certified_share = { perturbation = 'linf:20uV', share = 0.5 }\n"
        "sensitivity = { V = 0.92 }\n",
    )
    requirements = load_config(path, {}).requirements
    assert requirements.certified_share is not None
    assert requirements.certified_share.perturbation == "linf:20uV"
    assert requirements.sensitivity == {"V": 0.92}


@pytest.mark.parametrize("overrides", [{"pruning.step": 3}, {"pruning.steps": "three"}])
def test_a_wrong_flag_is_blamed_on_the_command_line(tmp_path: Path, overrides: dict) -> None:
    path = _write(tmp_path, "[pruning]\nsteps = 2\n")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, overrides)
    assert caught.value.where == "command line"


def test_a_missing_file_is_an_error_and_not_the_defaults(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_config(tmp_path / "absent.toml", {})


@given(st.text(max_size=80))
def test_any_text_gives_a_configuration_or_a_clear_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), text.encode(errors="ignore").decode())
        with contextlib.suppress(EdgepruneError):
            load_config(path, {})


@pytest.mark.parametrize(
    "config",
    [
        BuildConfig(),
        BuildConfig(
            seed=5,
            data_dir='a "folder" with \\ in it',
            requirements=Requirements(
                accuracy=0.9,
                sensitivity={"V": 0.92, "S": 0.5},
                certified_share=CertifiedShare("linf:20uV", 0.5),
                attack_success={"linf:20uV": 0.25, "l2:1mV": 0.5},
                sensitivity_under={"electrode-motion:-6dB": {"V": 0.5, "S": 0.25}},
            ),
            profile="eu",
            product=ProductSettings(name='Ward "seven"', intended_use="beats\nand more"),
            risks=(RiskSettings("strap", evidence=("monitor", "disturbances")), RiskSettings("x")),
            pccp=PccpSettings("policy.toml", (ModificationSettings("re-training", risks="few"),)),
        ),
    ],
)
def test_a_rendered_configuration_reads_back_to_itself(tmp_path: Path, config: BuildConfig) -> None:
    assert load_config(_write(tmp_path, render_config(config)), {}) == config


def test_what_is_stated_is_known_from_what_is_left_open(tmp_path: Path) -> None:
    usual = BuildConfig()
    path = _write(tmp_path, f"[training]\nteachers = {usual.training.teachers}\n")
    config = load_config(path, {"attacks.balls": usual.attacks.balls})
    assert config == usual
    assert config.stated == ("training.teachers", "attacks.balls")
    assert not config.leaves_open("training.teachers")
    assert config.leaves_open("training.batch_size")
    assert not load_config(None, {"training.batch_size": 7}).leaves_open("training.batch_size")
    # a value that is no default was stated by whoever made the object
    other = replace(usual, training=replace(usual.training, batch_size=7))
    assert not other.leaves_open("training.batch_size")
    text = render_config(config)
    assert "\nteachers = 3\n" in text
    assert "\n# left open, so that it suits the data: batch_size = 256\n" in text
    assert load_config(_write(tmp_path, text), {}).stated == config.stated


def test_nobody_states_what_is_stated(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown key 'stated'"):
        load_config(_write(tmp_path, 'stated = ["training.teachers"]'), {})


def test_the_example_requirements_can_be_uncommented(tmp_path: Path) -> None:
    lines = EXAMPLE_REQUIREMENTS.replace("# Limits", "## Limits").replace("\n# ", "\n")
    requirements = load_config(_write(tmp_path, lines), {}).requirements
    assert requirements.flash_bytes == 65536
    assert requirements.certified_share == CertifiedShare("linf:20uV", 0.5)


def test_the_example_rows_can_be_uncommented(tmp_path: Path) -> None:
    """They stand at the end of a whole configuration, as `init` writes it."""
    rows = EXAMPLE_ROWS.replace("# Rows", "## Rows").replace("# Changes", "## Changes")
    text = render_config(BuildConfig()) + EXAMPLE_REQUIREMENTS + rows.replace("\n# ", "\n")
    config = load_config(_write(tmp_path, text), {})
    assert config.risks[0].evidence == ("monitor.limits",)
    assert config.pccp.modifications[0].title == "re-training on more patients"
