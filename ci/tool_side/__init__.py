"""Modules that run inside evaluation tools, in the tool's environment on a host.

The controller imports what it shares with them; they import the standard library and the tool.
"""
