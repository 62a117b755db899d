"""Start servers, await readiness, watch them. Asks hosts through agents and processes alone."""
