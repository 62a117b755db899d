"""Write new cases with prefill and decode apart, from flags and environment variables.

Pure: settings in, text of a case out.
"""
