"""Compare figures with thresholds, and give the verdict.

Pure: no host, clock or disk.
"""
