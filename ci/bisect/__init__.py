"""Find the first bad one of several versions, environments, revisions or hosts, by nights.

The statistics are in `ci.judge`; here are the points, their nights, and the file of the search.
"""
