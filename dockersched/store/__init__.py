"""State on disk: what recovery reads, and who owns a run."""
