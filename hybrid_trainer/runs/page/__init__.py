"""The page of `compare --html`: one file that a browser opens without a server and without a request to any host."""

from hybrid_trainer.runs.page.write import write_page

__all__ = ["write_page"]
