"""Interpret vLLM's command line, devices, ports, versions, metrics and logs.

Pure: values in, values out.
"""
