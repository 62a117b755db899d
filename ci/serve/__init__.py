"""Start servers in order, await readiness, watch them, run the smoke test.

Asks hosts through agents and processes alone.
"""
