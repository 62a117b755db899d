"""What a host does while something is measured on it: CPU, memory, network, devices.

Travels to a host as one archive, not with the agent, and runs there as a process of the run.
Reads /proc, /sys and the devices' own tools; writes one file in its own folder.
"""
