"""Figures × thresholds → Verdict.

Pure: no host, clock or disk.
"""
