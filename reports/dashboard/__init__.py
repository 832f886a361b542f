"""The dashboard: the report and its charts as one page that needs no network, or one chart as a picture.

Python computes every number with the engine of `tokentail report`; the page only formats and draws.
Altair and vl-convert are the extra `charts`, imported when a page or a picture is made.
"""
