"""One file per command of the operator.

Prints and returns exit codes; may use every other room.
"""
