"""What travels to a host: stdlib only, Python 3.8 and later, imported there by the same names."""
