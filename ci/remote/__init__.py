"""What travels to a host: standard library, Python 3.8; imported there by the same names."""
