"""Scripts that make environments and models on hosts: Python 3.8, standard library only."""
