"""Scans in other processes or on other machines, ahead of the one writer; in the order of the logs.

What is done elsewhere is pure: a log and a checkpoint go there, batches come back. The database, the
checkpoints and the decision which source a log is stay here, so whatever happens to a worker is lost work
and never a lost or a doubled row.
"""
