"""The dialect of multi-node files whose servers stand under `deployment`."""
