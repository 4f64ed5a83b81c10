"""Measures dockersched: against the engine's own pace, at scale, and with many sandboxes at once."""
