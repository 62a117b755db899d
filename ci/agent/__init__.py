"""The controller's end of a host: requests, processes, what travels there."""
