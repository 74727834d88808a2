"""The saved model: write, verify, load, predict."""
