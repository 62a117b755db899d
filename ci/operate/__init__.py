"""What an operator asks of hosts between nights: what runs there, its logs, an end of it."""
