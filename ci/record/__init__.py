"""The run on disk: its steps, its figures, what is redacted."""
