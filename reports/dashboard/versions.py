"""The version of Vega-Lite: the one that Altair writes for, if vl-convert has it."""

from __future__ import annotations

from reports.extras import imported


def vega_lite_version() -> str:
    """Return the version as vl-convert names it, `6.4`: that of Altair, else vl-convert's latest.

    Raises:
        MissingExtra: Altair or vl-convert is not installed.
    """
    schema: str = imported("altair", "charts").SCHEMA_VERSION
    wanted = schema.removeprefix("v").rpartition(".")[0]
    known: list[str] = imported("vl_convert", "charts").get_vegalite_versions()
    return wanted if wanted in known else known[-1]
