"""`predict MODEL_DIR FILE [-o OUT]`: predictions for the rows of a table."""

from __future__ import annotations

import sys
from pathlib import Path

from hybrid_trainer.arguments import Parser
from hybrid_trainer.errors import UserError
from hybrid_trainer.plugins import load_plugins
from hybrid_trainer.runs.atomic import replacing


def main(arguments: list[str]) -> int:
    """Load and verify the model, read the file, write one row per decidable row: CSV, or Parquet by OUT's suffix."""
    parser = Parser("predict", main.__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL_DIR", help="a saved model: RUN_DIR/model")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="rows like those it was trained on (.csv, .csv.gz, .parquet)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help=".csv or .parquet; default: CSV on the terminal"
    )
    parser.add_argument(
        "--plugins",
        default="",
        metavar="NAME[,NAME]",
        help="your plug-ins with the model or the features that were trained",
    )
    options = parser.parse_args(arguments)
    load_plugins([name for name in options.plugins.split(",") if name])
    suffix = options.output.suffix.lower() if options.output else ".csv"
    if suffix not in (".csv", ".parquet"):
        raise UserError(f"{options.output}: the suffix must be .csv or .parquet")
    from hybrid_trainer.inference.bundle import load_bundle  # here, so that --help doesn't wait for torch
    from hybrid_trainer.inference.predictor import flat_columns

    predictor = load_bundle(options.model)
    frame = predictor.predict_file(options.file)
    if options.output is None:
        sys.stdout.write(flat_columns(frame, predictor.schema.specs).write_csv())
        return 0
    with replacing(options.output) as temporary:
        if suffix == ".parquet":
            frame.write_parquet(temporary)
        else:
            flat_columns(frame, predictor.schema.specs).write_csv(temporary)
    sys.stderr.write(f"{options.output}: {len(frame)} predictions\n")
    return 0
