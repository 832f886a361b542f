"""What the executor's log lines say, one line at a time.

Pure: bytes or text in, frozen values out. Nothing here uses a file, a clock, the environment, the database or
the command line, so everything can be tested with a literal.

Each family of lines, or a group of related ones, has a module with its `Family` (name, opening, pattern,
samples). `parsers.registry` lists the families; `parsers.line` reads a line by its prefix and its family.
"""
