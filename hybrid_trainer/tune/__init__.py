"""Commands that try things out before a run: tune-engine, lr-find, batch-size-find."""
