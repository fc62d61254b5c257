"""Ids of calls as people give them to commands: whole, or their end as Datasette shows it."""

from __future__ import annotations

import sqlite3

import click

from addons.storage.shortids import calls_ending


def whole_id(captures: sqlite3.Connection, given: str) -> str:
    """The call of that id, or that ends with what Datasette shows of one (`…Y332MYX3`); what was given where there is none.

    Raises ClickException where several end so.
    """
    found = calls_ending(captures, given)
    if len(found) > 1:
        raise click.ClickException(f"several calls end with {given}: {', '.join(found)}")
    return found[0] if found else given
