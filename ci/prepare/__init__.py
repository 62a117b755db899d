"""Make environments and models on hosts before a night, with recipes that run there."""
