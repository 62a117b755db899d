"""Start servers, await readiness, watch them, explain a failed start."""
