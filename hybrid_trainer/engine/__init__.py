"""One training step and what it runs on: precision, optimizers, schedules, checkpoints."""
