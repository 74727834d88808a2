"""The one look at the test split: metrics, baselines, report."""
