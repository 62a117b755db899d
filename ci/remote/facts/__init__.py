"""Facts of a host: network, ports, accelerators, software, weights.

Reads the host; changes nothing.
"""
