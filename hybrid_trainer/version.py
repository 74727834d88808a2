"""The package's version, read by setup.cfg and written into run records and bundles."""

__version__ = "0.1.0"
