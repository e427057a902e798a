"""`python -m edgeprune.certificate_checker CERTIFICATES NETWORK [--windows FILE]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgeprune.certificate_checker.claims import Verdict, check


def main(arguments: list[str] | None = None) -> int:
    """Check a file; return 0 where every certificate is accepted, else 1."""
    parser = argparse.ArgumentParser(prog="python -m edgeprune.certificate_checker")
    parser.add_argument("certificates", type=Path, help="the file of certificates")
    parser.add_argument("network", type=Path, help="the network that they are about")
    parser.add_argument("--windows", type=Path, help="the data set's windows, to compare with")
    options = parser.parse_args(arguments)

    def tell(verdict: Verdict) -> None:
        found = "accepted" if verdict.accepted else f"REJECTED: {verdict.reason}"
        sys.stdout.write(f"{verdict.window:6} {verdict.outcome:9} {verdict.method:9} {found}\n")

    report = check(options.certificates, options.network, options.windows, tell=tell)
    accepted = sum(verdict.accepted for verdict in report.verdicts)
    sys.stdout.write(
        f"REJECTED: {report.problem}\n"
        if report.problem
        else f"{accepted} of {len(report.verdicts)} certificates accepted\n"
    )
    return 0 if report.accepted else 1


if __name__ == "__main__":
    sys.exit(main())
