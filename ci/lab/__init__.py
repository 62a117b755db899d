"""Many hosts with real sshds on one machine, for trials, fault tests and benchmarks."""
