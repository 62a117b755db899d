"""Whether the hosts are fit for a plan: facts gathered, compared, and shown with what to do."""
