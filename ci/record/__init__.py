"""The run on disk: its model, steps, figures and redaction.

Writes only to the folder of the run.
"""
