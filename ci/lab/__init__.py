"""A lab: many real hosts with real sshds on one machine, for trials, fault tests and benchmarks."""
