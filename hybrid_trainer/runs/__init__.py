"""Run directories: claiming, provenance, logs, comparison."""
