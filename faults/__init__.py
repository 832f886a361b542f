"""The campaign against losing and doubling: what happens to logs, processes and disks, and what comes of it.

Not a part of the program: `make faults`, `kill`, `syscalls`, `model`, `fleet`, `cluster`, `fuzz` and
`mutants` run it.
"""
