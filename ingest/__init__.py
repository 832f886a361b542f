"""From log files to rows: discovery, reading, linking, and the exactly-once store.

Invariant kept by the whole package: rows, sightings, rejects and the checkpoint that covers them
commit in one transaction, and an event's identity comes from its content. So any log may be read
again at any time, from anywhere, without harm.
"""
