"""The dashboard: the report and its charts as one page that needs no network, or one chart as a picture.

Python computes all figures with the functions of `tokentail report` and writes them as HTML, so that they can
be read where no script runs; the script draws charts, sorts tables, and shows the figures of what is chosen.
Altair and vl-convert are the extra `charts`, imported when a page or a picture is made.
"""
