"""A bundle's configuration: the same from any folder, and never of files outside the bundle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgeprune.config import BuildConfig, ChosenSettings, DisturbancePlan, PccpSettings
from edgeprune.config_text import render_config
from edgeprune.errors import ConfigurationError
from edgeprune.pipeline.recipe import (
    bundle_config,
    copy_inputs,
    model_name,
    named_files,
    portable,
)
from edgeprune.resources import resource_folder


def _config(folder: Path) -> BuildConfig:
    """Return a configuration that names everything that can be named, in some folder."""
    folder.mkdir(parents=True)
    shutil.copy(resource_folder("datasets") / "mit-bih.toml", folder / "own.toml")
    shutil.copy(resource_folder("targets") / "cortex-m4.toml", folder / "board.toml")
    for name in ("net.onnx", "w.safetensors", "s.sqlite", "p.toml"):
        (folder / name).write_text(name)
    return BuildConfig(
        target=str(folder / "board.toml"),
        dataset=str(folder / "own.toml"),
        data_dir=str(folder / "recordings"),
        model=str(folder / "net.onnx"),
        weights=str(folder / "w.safetensors"),
        chosen=ChosenSettings(str(folder / "s.sqlite"), "0" * 64, 3),
        pccp=PccpSettings(policy=str(folder / "p.toml")),
        disturbances=DisturbancePlan(noise_dir=str(folder / "noise")),
    )


def test_a_bundle_holds_the_same_configuration_from_any_folder(tmp_path: Path) -> None:
    texts = []
    for name in ("here", "there/deeper"):
        config = _config(tmp_path / name)
        bundle = tmp_path / name / "bundle"
        bundle.mkdir()
        copy_inputs(config, bundle)
        texts.append(render_config(portable(config)))
        assert str(tmp_path) not in texts[-1]
        (bundle / "edgeprune.toml").write_text(texts[-1])
        again = bundle_config(bundle, Path(config.data_dir), Path(config.disturbances.noise_dir))
        assert portable(again) == portable(config)
        for place, path in named_files(again).items():
            assert path == bundle / place
            assert path.read_bytes() == named_files(config)[place].read_bytes()
        assert (again.data_dir, again.model) == (
            config.data_dir,
            str(bundle / "inputs" / "model" / "net.onnx"),
        )
    assert texts[0] == texts[1]


def test_what_names_no_file_stays_as_it_is() -> None:
    config = BuildConfig(model="residual-ecg", target="cortex-m7", dataset="synthetic-ecg")
    assert portable(config) == config
    assert not named_files(config)
    assert model_name("package.module:factory") == "package.module:factory"
    assert model_name("/some/where/net.onnx") == "net.onnx"


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    config = _config(tmp_path / "a")
    Path(config.weights).unlink()
    with pytest.raises(ConfigurationError, match="no longer there") as caught:
        copy_inputs(config, tmp_path)
    assert caught.value.where == config.weights


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "../../secret.toml", "C:/x.toml", "inputs\\..\\x.toml", "a/../../b"]
)
def test_a_configuration_cannot_name_what_lies_outside(tmp_path: Path, text: str) -> None:
    config = replace(BuildConfig(), weights=text)
    (tmp_path / "edgeprune.toml").write_text(render_config(config))
    with pytest.raises(ConfigurationError, match="'weights' leaves the bundle"):
        bundle_config(tmp_path)
