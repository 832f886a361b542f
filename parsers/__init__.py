"""What the executor's log lines say, one line at a time.

Pure: bytes or text in, frozen values out. Nothing here knows a file, a clock, the environment, the
database or the command line, so everything here can be tried on a literal.

Each family of lines has a module of its own with its `Family` (name, opening, pattern, samples);
`parsers.line` puts a prefix and a family together, `parsers.registry` lists the families.
"""
