"""Faults put into a copy of the tree, one at a time: the suite has to notice each.

`named` are rules that must not go unnoticed, `sample` draws changes of one operator, constant or
condition from a seed. Not a part of the program: `make mutants` runs it.
"""
