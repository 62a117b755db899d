"""The look that all pages share: colours, badges, charts, and the environment of their templates.

A page is one file without requests: its style and script are in it, and its policy allows no other.
"""
