"""Runs side by side: from their run.json alone, and from their test rows where differences are judged."""
