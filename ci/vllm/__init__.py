"""What vLLM's command line, ports, versions and logs mean. Pure: values in, values out."""
