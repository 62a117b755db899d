"""Examine hosts before a night: gather facts, compare them with the plan, advise.

Asks agents; changes nothing on a host.
"""
