"""Read multi-node case files with one server per host under `deployment`."""
