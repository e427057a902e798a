"""What a page carries besides its text: style, script, and the policy that lets only these act."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from markupsafe import Markup

_TEMPLATES = Path(__file__).with_name("templates")
_NO_HEXADECIMAL = re.compile(r"[^0-9a-f]")


@dataclass(frozen=True)
class PageParts:
    """Style and script of a page, and its Content-Security-Policy.

    The policy names both by their hashes: no other style or script acts, nothing is loaded, and
    nothing is sent.

    Attributes:
        style: Text of the style element.
        script: Text of the script element.
        policy: The policy.
    """

    style: Markup
    script: Markup
    policy: str


def page_parts(subject: str, digest: str) -> PageParts:
    """Return the parts of a page whose printed sheets say what they are about.

    Args:
        subject: What the hash is of, e.g. "network".
        digest: A hash in hexadecimal; its beginning stands at the foot of every sheet.
    """
    short = _NO_HEXADECIMAL.sub("", digest)[:16]
    style = f"\n{_text('report.css')}{_feet(subject, short)}"
    script = f"\n{_text('report.js')}"
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return PageParts(Markup(style), Markup(script), policy)


def _feet(subject: str, short: str) -> str:
    font = "7.5pt sans-serif; color: #56616e;"
    return (
        "@page {\n"
        f'  @bottom-left {{ content: "{subject} {short}"; font: {font} }}\n'
        f'  @bottom-right {{ content: counter(page) " / " counter(pages); font: {font} }}\n'
        "}\n"
    )


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
