"""A Datasette plugin: every connection of a Datasette server has the SQL functions of `sql_functions`."""

from __future__ import annotations

import sqlite3

from datasette import hookimpl

from reports.plugins.sql_functions import register


@hookimpl  # type: ignore  # Datasette has no types
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Register the functions on a connection that Datasette has just opened."""
    register(conn)
