"""The causality check: each kind of leak is looked for in a run's own data."""
