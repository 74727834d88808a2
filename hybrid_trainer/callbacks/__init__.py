"""What looks on while a model is trained."""
