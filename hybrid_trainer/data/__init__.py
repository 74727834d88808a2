"""From a table to batches of windows that cannot leak."""
