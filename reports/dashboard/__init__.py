"""The dashboard: the report and its charts as one page that needs no network, or one chart as a picture.

Python computes every number with the functions of `tokentail report`, and writes it as HTML, so that it can
be read where no script runs; the script draws charts, sorts tables, and shows the numbers of what is chosen.
Altair and vl-convert are the extra `charts`, imported when a page or a picture is made.
"""
