"""Write a plan as text and JSON: hosts, connections, commands to paste.

Pure: takes and returns values.
"""
