"""One supervisor per process: it owns the process and all its descendants to the end.

Writes the state folder of its run; signals only what the run has started.
"""
