"""A sqlite-utils plugin: every database that it opens has the SQL functions of `sql_functions`."""

from __future__ import annotations

import sqlite3

from sqlite_utils import hookimpl

from reports.plugins.sql_functions import register


@hookimpl
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Register the functions on a connection that sqlite-utils has just opened."""
    register(conn)
