"""The command `edgeprune`: parsing and printing only."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from edgeprune.cli.app import create_app

    create_app()()
