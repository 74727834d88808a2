"""The typed config: schema, composing, checking, and its error messages."""
