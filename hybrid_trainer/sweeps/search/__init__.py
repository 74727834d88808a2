"""The search with Optuna: what is searched, who picks, where it is kept, and which trials are given up early."""
