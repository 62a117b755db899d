"""Many cases, many hosts, one night: which cases, in which form, where and when.

Pure, but for the reading of suites, of cases and of the hosts in quarantine.
"""
