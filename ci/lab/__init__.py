"""Many hosts with real sshds on one machine, for trials, fault tests and benchmarks.

Makes network namespaces and processes; only tests and `commands/lab.py` import it.
"""
