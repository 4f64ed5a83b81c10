"""Where sandboxes run: the runner's contract, a fake for tests, and the Docker engine."""
