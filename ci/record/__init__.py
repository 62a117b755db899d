"""The run on disk: its model, steps, figures and redaction.

Writes below the folder of its run alone.
"""
