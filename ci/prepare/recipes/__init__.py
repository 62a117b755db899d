"""Scripts that travel to hosts and make environments and models there: Python 3.8, alone."""
