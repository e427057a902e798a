"""Tampering with a signed bundle, kind by kind, and whether `verify-bundle` names each.

Every kind is done to a copy of its own. Most are named for want of a signature that fits; those
of `FORGERIES` are tried a second time by somebody who writes provenance and manifest to suit,
takes the signature away, and meets a reader who does not ask for one.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from edgeprune.evidence.keys import new_key, public_path
from edgeprune.evidence.manifest import MANIFEST_NAME, SIGNATURE_NAME
from edgeprune.evidence.signature import envelope_bytes, parse_envelope
from edgeprune.network import IntegerNetwork, write_qdq, write_tflite
from edgeprune.pipeline.bundle_check import BundleCheck, check_bundle, read_keys, sign_bundle
from tests.network.builders import dense_network
from tests.studies.study import Figure

SECTION = "tampering"
EVIDENCE = "evidence.json"
REPORT = "report.html"
PROVENANCE = "provenance.intoto.json"


@dataclass(frozen=True)
class Bundle:
    """A bundle to be tampered with.

    Attributes:
        folder: The copy.
        scratch: A folder beside it.
        key: Private key that signed it.
        stranger: Private key of somebody else.
    """

    folder: Path
    scratch: Path
    key: Path
    stranger: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def some(self, pattern: str, place: int = 0) -> Path:
        return sorted(path for path in self.folder.rglob(pattern) if path.is_file())[place]


@dataclass(frozen=True)
class Tampering:
    """One kind.

    Attributes:
        name: What is done.
        change: Does it, and returns what must be named: a path, or the beginning of one.
        with_stranger: The reader names the stranger's key, and not the signer's.
    """

    name: str
    change: Callable[[Bundle], str]
    with_stranger: bool = False


def prepare(source: Path, scratch: Path) -> Bundle:
    """Return a signed copy of a bundle."""
    scratch.mkdir(parents=True, exist_ok=True)
    key, stranger, folder = scratch / "team.pem", scratch / "stranger.pem", scratch / "signed"
    for path in (key, stranger):
        new_key(path)
    shutil.copytree(source, folder)
    (folder / SIGNATURE_NAME).unlink(missing_ok=True)
    sign_bundle(folder, key, lambda: "")
    return Bundle(folder, scratch, key, stranger)


def tampered(bundle: Bundle, tampering: Tampering) -> tuple[BundleCheck, str]:
    """Tamper with a copy and check it; return also what must be named."""
    copy = bundle.scratch / "copy"
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(bundle.folder, copy, symlinks=True)
    case = Bundle(copy, bundle.scratch, bundle.key, bundle.stranger)
    named = tampering.change(case)
    reader = bundle.stranger if tampering.with_stranger else bundle.key
    return check_bundle(copy, read_keys([public_path(reader)])), named


def forged(bundle: Bundle, tampering: Tampering) -> tuple[BundleCheck, str]:
    """Tamper as somebody who writes all to suit; the reader asks for no signature."""
    copy = bundle.scratch / "copy"
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(bundle.folder, copy)
    case = Bundle(copy, bundle.scratch, bundle.key, bundle.stranger)
    named = tampering.change(case)
    write_to_suit(copy)
    (copy / SIGNATURE_NAME).unlink()
    return check_bundle(copy, unsigned=True), named


def is_named(found: BundleCheck, named: str) -> bool:
    """Return whether what was tampered with is among the findings."""
    return any(finding.path.startswith(named) for finding in found.findings)


def write_to_suit(folder: Path) -> None:
    """Write provenance and manifest for the files as they are now."""
    present = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (MANIFEST_NAME, SIGNATURE_NAME)
    }
    statement = json.loads((folder / PROVENANCE).read_bytes())
    statement["subject"] = [
        {"name": name, "digest": {"sha256": _hash(path)}}
        for name, path in sorted(present.items())
        if name != PROVENANCE
    ]
    _write(folder / PROVENANCE, statement)
    manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
    rows = {row["path"]: row for row in manifest["files"]}
    like = next(iter(rows.values()))
    manifest["files"] = [
        {
            **rows.get(name, {**like, "path": name}),
            "size": path.stat().st_size,
            "sha256": _hash(path),
        }
        for name, path in sorted(present.items())
    ]
    _write(folder / MANIFEST_NAME, manifest)


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _write(path: Path, value: Any) -> None:
    path.write_text(f"{json.dumps(value, indent=1, ensure_ascii=False)}\n", encoding="utf-8")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _bytes(folder: Path) -> Iterator[Tampering]:
    """Yield one kind for each kind of file: those of one folder with one ending."""
    seen = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        kind = (name.split("/")[0] if "/" in name else name, path.suffix)
        if path.is_file() and kind not in seen:
            seen.add(kind)
            yield Tampering(f"a byte of {name}", _flipped(name))


def _flipped(name: str) -> Callable[[Bundle], str]:
    def change(bundle: Bundle) -> str:
        _flip(bundle.path(name))
        return name

    return change


def _swapped(bundle: Bundle) -> str:
    first, second = bundle.some("*.npz"), bundle.some("*.npz", 1)
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    return first.relative_to(bundle.folder).as_posix()


def _added(bundle: Bundle) -> str:
    bundle.path("firmware/patch.c").write_text("/* nothing */\n")
    return "firmware/patch.c"


def _hidden(bundle: Bundle) -> str:
    bundle.path(".notes").write_text("")
    return ".notes"


def _empty_folder(bundle: Bundle) -> str:
    bundle.path("appendix").mkdir()
    return "appendix/"


def _removed(bundle: Bundle) -> str:
    path = bundle.some("*.npz")
    path.unlink()
    return path.relative_to(bundle.folder).as_posix()


def _folder_removed(bundle: Bundle) -> str:
    shutil.rmtree(bundle.path("firmware"))
    return "firmware/"


def _truncated(bundle: Bundle) -> str:
    path = bundle.path("network.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    return path.name


def _emptied(bundle: Bundle) -> str:
    bundle.path(EVIDENCE).write_bytes(b"")
    return EVIDENCE


def _grown(bundle: Bundle) -> str:
    path = bundle.path("edgeprune.toml")
    path.write_bytes(path.read_bytes() + b"\n")
    return path.name


def _line_ends(bundle: Bundle) -> str:
    path = bundle.some("*.c")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return path.relative_to(bundle.folder).as_posix()


def _linked(bundle: Bundle) -> str:
    path, same = bundle.path("model.tflite"), bundle.scratch / "same.tflite"
    shutil.copyfile(path, same)
    path.unlink()
    path.symlink_to(same)
    return path.name


def _folder_linked(bundle: Bundle) -> str:
    path, same = bundle.path("certificates"), bundle.scratch / "same"
    shutil.rmtree(same, ignore_errors=True)
    shutil.copytree(path, same)
    shutil.rmtree(path)
    path.symlink_to(same)
    return "certificates"


def _link_added(bundle: Bundle) -> str:
    bundle.path("more.toml").symlink_to("edgeprune.toml")
    return "more.toml"


def _renamed(bundle: Bundle) -> str:
    bundle.path("model.onnx").rename(bundle.path("model-2.onnx"))
    return "model.onnx"


def _case_changed(bundle: Bundle) -> str:
    bundle.path(REPORT).rename(bundle.path("Report.html"))
    return REPORT


def _folder_for_file(bundle: Bundle) -> str:
    path = bundle.path("model.onnx")
    path.unlink()
    path.mkdir()
    return path.name


def _older_file(bundle: Bundle) -> str:
    """Put another network into its place, with all that is made of it."""
    network: IntegerNetwork = dense_network([[1, 2], [3, 4]], [0, 1])
    network.save(bundle.path("network.safetensors"))
    bundle.path("model.tflite").write_bytes(write_tflite(network))
    bundle.path("model.onnx").write_bytes(write_qdq(network))
    return "network.safetensors"


def _figure(bundle: Bundle) -> str:
    """Raise a figure of the evidence."""
    value = json.loads(bundle.path(EVIDENCE).read_bytes())
    for scores in value["performance"]:
        scores["scores"]["accuracy"]["value"] = 0.999
    _write(bundle.path(EVIDENCE), value)
    return EVIDENCE


def _figure_and_report(bundle: Bundle) -> str:
    """Take a failed requirement for passed, in evidence and report."""
    from edgeprune.report import write_report

    value = json.loads(bundle.path(EVIDENCE).read_bytes())
    for row in value["requirements"]:
        row["outcome"] = "fail" if row["outcome"] == "pass" else "pass"
    _write(bundle.path(EVIDENCE), value)
    write_report(bundle.path(EVIDENCE), bundle.path(REPORT))
    return EVIDENCE


def _counts(bundle: Bundle) -> str:
    """Count more windows as proved than the certificates prove, in evidence and report."""
    from edgeprune.report import write_report

    value = json.loads(bundle.path(EVIDENCE).read_bytes())
    outcomes = value["certificates"]["networks"][-1]["perturbations"][0]["outcomes"]
    outcomes["proved"], outcomes["unknown"] = outcomes["proved"] + 1, outcomes["unknown"] - 1
    _write(bundle.path(EVIDENCE), value)
    write_report(bundle.path(EVIDENCE), bundle.path(REPORT))
    return "certificates/"


def _page(bundle: Bundle) -> str:
    path = bundle.path(REPORT)
    text = path.read_text(encoding="utf-8")
    place = text.rindex("</main>") if "</main>" in text else text.rindex("</body>")
    path.write_text(f"{text[:place]}<p>Sensitivity: 99.9 %</p>{text[place:]}", encoding="utf-8")
    return REPORT


def _config(bundle: Bundle) -> str:
    path = bundle.path("edgeprune.toml")
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = ["seed = 77" if line.startswith("seed =") else line for line in lines]
    path.write_text("\n".join(changed) + "\n", encoding="utf-8")
    return path.name


def _bill(bundle: Bundle) -> str:
    path = bundle.path("sbom/firmware.cdx.json")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"version": "', '"version": "9', 1), encoding="utf-8")
    return "sbom/firmware.cdx.json"


def _image(bundle: Bundle) -> str:
    _flip(bundle.path("firmware.elf"))
    return "firmware.elf"


def _exported(bundle: Bundle) -> str:
    path = bundle.path("model.tflite")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    return path.name


def _certificate_gone(bundle: Bundle) -> str:
    bundle.path("certificates").joinpath(
        next(
            path.name
            for path in sorted(bundle.path("certificates").glob("*.npz"))
            if path.name not in ("held.npz", "windows.npz")
        )
    ).unlink()
    return "certificates/"


def _parameters(bundle: Bundle) -> str:
    value = json.loads(bundle.path(PROVENANCE).read_bytes())
    value["predicate"]["buildDefinition"]["externalParameters"]["command"] = "make"
    _write(bundle.path(PROVENANCE), value)
    return PROVENANCE


def _to_suit(change: Callable[[Bundle], str]) -> Callable[[Bundle], str]:
    def both(bundle: Bundle) -> str:
        named = change(bundle)
        write_to_suit(bundle.folder)
        return named

    return both


def _manifest(edit: Callable[[dict[str, Any]], object]) -> Callable[[Bundle], str]:
    def change(bundle: Bundle) -> str:
        manifest = json.loads(bundle.path(MANIFEST_NAME).read_bytes())
        edit(manifest)
        _write(bundle.path(MANIFEST_NAME), manifest)
        return MANIFEST_NAME

    return change


def _manifest_gone(bundle: Bundle) -> str:
    bundle.path(MANIFEST_NAME).unlink()
    return MANIFEST_NAME


def _respaced(name: str) -> Callable[[Bundle], str]:
    def change(bundle: Bundle) -> str:
        path = bundle.path(name)
        path.write_text(json.dumps(json.loads(path.read_bytes())), encoding="utf-8")
        return name

    return change


def _stripped(bundle: Bundle) -> str:
    bundle.path(SIGNATURE_NAME).unlink()
    return SIGNATURE_NAME


def _of_another(bundle: Bundle) -> str:
    """Take the signature of another bundle, by the same key."""
    other = bundle.scratch / "other"
    if not other.exists():
        shutil.copytree(bundle.folder, other)
        (other / SIGNATURE_NAME).unlink()
        manifest = json.loads((other / MANIFEST_NAME).read_bytes())
        manifest["files"][0]["role"] = "of another bundle"
        _write(other / MANIFEST_NAME, manifest)
        sign_bundle(other, bundle.key, lambda: "")
    shutil.copyfile(other / SIGNATURE_NAME, bundle.path(SIGNATURE_NAME))
    return MANIFEST_NAME


def _by_stranger(bundle: Bundle) -> str:
    bundle.path(SIGNATURE_NAME).unlink()
    sign_bundle(bundle.folder, bundle.stranger, lambda: "")
    return SIGNATURE_NAME


def _stranger_too(bundle: Bundle) -> str:
    sign_bundle(bundle.folder, bundle.stranger, lambda: "")
    return SIGNATURE_NAME


def _report_by_stranger(bundle: Bundle) -> str:
    _page(bundle)
    return _by_stranger_unchecked(bundle)


def _by_stranger_unchecked(bundle: Bundle) -> str:
    """Sign what does not verify, as a tool of the stranger's own would."""
    from edgeprune.evidence.keys import load_private
    from edgeprune.evidence.signature import Envelope, signed

    write_to_suit(bundle.folder)
    payload = bundle.path(MANIFEST_NAME).read_bytes()
    envelope = signed(Envelope(payload, ()), load_private(bundle.stranger, lambda: ""))
    bundle.path(SIGNATURE_NAME).write_bytes(envelope_bytes(envelope))
    return SIGNATURE_NAME


def _envelope(edit: Callable[[dict[str, Any]], object]) -> Callable[[Bundle], str]:
    def change(bundle: Bundle) -> str:
        path = bundle.path(SIGNATURE_NAME)
        value = json.loads(path.read_bytes())
        edit(value)
        path.write_text(f"{json.dumps(value, indent=1)}\n")
        return SIGNATURE_NAME

    return change


def _payload_swapped(bundle: Bundle) -> str:
    """Give the envelope the manifest that suits an edited report, and keep the signature."""
    from dataclasses import replace

    _page(bundle)
    write_to_suit(bundle.folder)
    path = bundle.path(SIGNATURE_NAME)
    envelope = parse_envelope(path.read_bytes())
    payload = bundle.path(MANIFEST_NAME).read_bytes()
    path.write_bytes(envelope_bytes(replace(envelope, payload=payload)))
    return SIGNATURE_NAME


def _wrong_key(bundle: Bundle) -> str:
    return SIGNATURE_NAME


_OF_FILES = (
    Tampering("two files swapped", _swapped),
    Tampering("a file added", _added),
    Tampering("a hidden file added", _hidden),
    Tampering("an empty folder added", _empty_folder),
    Tampering("a link added", _link_added),
    Tampering("a file removed", _removed),
    Tampering("a folder removed", _folder_removed),
    Tampering("a file truncated by a byte", _truncated),
    Tampering("a file emptied", _emptied),
    Tampering("a line end appended", _grown),
    Tampering("line ends of Windows", _line_ends),
    Tampering("a file replaced by a link to a copy", _linked),
    Tampering("a folder replaced by a link to a copy", _folder_linked),
    Tampering("a file renamed", _renamed),
    Tampering("a name in capitals", _case_changed),
    Tampering("a folder in place of a file", _folder_for_file),
    Tampering("another network", _older_file),
    Tampering("a figure of evidence.json edited", _figure),
    Tampering("the report edited", _page),
    Tampering("a bill of materials edited", _bill),
)
_OF_MANIFEST = (
    Tampering("a figure edited, the manifest to suit", _to_suit(_figure)),
    Tampering("the report edited, the manifest to suit", _to_suit(_page)),
    Tampering("the configuration edited, the manifest to suit", _to_suit(_config)),
    Tampering("the firmware image edited, the manifest to suit", _to_suit(_image)),
    Tampering(
        "a role in the manifest edited",
        _manifest(lambda manifest: manifest["files"][0].update(role="approved")),
    ),
    Tampering(
        "a file left out of the manifest",
        _manifest(lambda manifest: manifest["files"].pop()),
    ),
    Tampering(
        "a stage's inputs in the manifest edited",
        _manifest(lambda manifest: manifest["stages"][0]["inputs"][0].update(sha256="0" * 64)),
    ),
    Tampering(
        "a path of the manifest that leaves the bundle",
        _manifest(lambda manifest: manifest["files"][0].update(path="../stolen")),
    ),
    Tampering(
        "a file listed twice",
        _manifest(lambda manifest: manifest["files"].append(manifest["files"][-1])),
    ),
    Tampering("the manifest's version", _manifest(lambda manifest: manifest.update(version=1))),
    Tampering("the manifest removed", _manifest_gone),
    Tampering("the manifest written otherwise", _respaced(MANIFEST_NAME)),
)
_OF_SIGNATURE = (
    Tampering("the signature stripped", _stripped),
    Tampering("the signature of another bundle", _of_another),
    Tampering("signed by a stranger instead", _by_stranger),
    Tampering("signed by a stranger besides", _stranger_too),
    Tampering("the report edited and signed by a stranger", _report_by_stranger),
    Tampering("read with a wrong key", _wrong_key, with_stranger=True),
    Tampering("the signed manifest exchanged", _payload_swapped),
    Tampering(
        "the type of what was signed", _envelope(lambda value: value.update(payloadType="text"))
    ),
    Tampering("all signatures taken out", _envelope(lambda value: value.update(signatures=[]))),
    Tampering(
        "a key renamed",
        _envelope(lambda value: value["signatures"][0].update(keyid="0" * 64)),
    ),
    Tampering("the signature written otherwise", _respaced(SIGNATURE_NAME)),
)
# Each contradicts another part of the bundle, whatever the manifest says.
FORGERIES = (
    Tampering("a figure of evidence.json edited", lambda bundle: (_figure(bundle), REPORT)[1]),
    Tampering("the report edited", _page),
    Tampering("the outcomes of requirements turned, with the report", _figure_and_report),
    Tampering("more windows proved than the certificates say, with the report", _counts),
    Tampering("the configuration edited", _config),
    Tampering("the firmware image edited", _image),
    Tampering("another network, with its exports", _older_file),
    Tampering("model.tflite edited", _exported),
    Tampering("a bill of materials edited", _bill),
    Tampering("a file of certificates removed", _certificate_gone),
    Tampering("the provenance's command edited", _parameters),
    Tampering("the report removed", lambda bundle: (bundle.path(REPORT).unlink(), REPORT)[1]),
)


def kinds(folder: Path) -> tuple[Tampering, ...]:
    """Return every kind of tampering that a bundle offers something for."""
    return (*_bytes(folder), *_OF_FILES, *_OF_MANIFEST, *_OF_SIGNATURE)


def figures(bundle: Path | None = None) -> Iterator[Figure]:
    """Tamper with a bundle in every way and yield what was not named.

    Args:
        bundle: A bundle made by this code, with certificates and a firmware image; None makes a
            small one.
    """
    with tempfile.TemporaryDirectory(prefix="tampering-") as folder:
        yield from _figures(bundle or small_bundle(Path(folder) / "small"), Path(folder) / "tried")


def small_bundle(folder: Path) -> Path:
    """Build the small data set's bundle, in seconds."""
    from edgeprune.config import load_config
    from edgeprune.pipeline.build import build
    from tests.pipeline.small import SETTINGS, small_card

    folder.mkdir()
    flags = {**SETTINGS, "dataset": str(small_card(folder))}
    return build(load_config(None, flags), folder / "result").out


def _figures(bundle: Path, scratch: Path) -> Iterator[Figure]:
    signed = prepare(bundle, scratch)
    untouched = check_bundle(signed.folder, read_keys([public_path(signed.key)]))
    yield Figure(
        SECTION,
        "findings on the signed bundle as it is",
        len(untouched.findings),
        0,
        at_most=True,
        note="; ".join(finding.what for finding in untouched.findings[:3]),
    )
    tried = kinds(signed.folder)
    yield Figure(SECTION, "kinds of tampering tried", len(tried), 30)
    yield _unnamed("kinds not named by verify-bundle", signed, tried, tampered)
    yield Figure(SECTION, "forgeries tried: all written to suit, no signature", len(FORGERIES), 10)
    yield _unnamed("forgeries not named by verify-bundle --unsigned", signed, FORGERIES, forged)


def _unnamed(
    title: str,
    bundle: Bundle,
    tried: Sequence[Tampering],
    attempt: Callable[[Bundle, Tampering], tuple[BundleCheck, str]],
) -> Figure:
    missed = []
    for tampering in tried:
        found, named = attempt(bundle, tampering)
        if not is_named(found, named):
            missed.append(tampering.name)
    return Figure(SECTION, title, len(missed), 0, at_most=True, note="; ".join(missed))


if __name__ == "__main__":
    for figure in figures(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(f"{figure.name}: {figure.found} {figure.note}")
