"""A fleet of executors, simulated by a sample of it: what it costs in a year, and what fits where."""
