"""New cases with prefill and decode apart. Pure."""
