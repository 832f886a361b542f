"""How fast, how small: logs of every size made from a seed, and other ways to the same rows beside ours.

Not a part of the program: `make bench` and `make profile` run it.
"""
