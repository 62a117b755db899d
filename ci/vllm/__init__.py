"""Interpret vLLM's command line, ports, versions, metrics and logs. Pure."""
