"""A plan as text and JSON: its picture, its edges, commands to paste.

Pure: values in, text out.
"""
