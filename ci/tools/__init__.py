"""Build the command lines of evaluation tools, and parse their output.

Pure: starts nothing, opens nothing.
"""
