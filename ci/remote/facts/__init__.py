"""What a host is and has: network, ports, accelerators, software, weights. Changes nothing."""
