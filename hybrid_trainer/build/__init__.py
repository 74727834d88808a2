"""From the config to objects: model, criterion, optimizer, schedule, callbacks, trainer, predictor."""

from hybrid_trainer.build.best_possible import oracles
from hybrid_trainer.build.criterion import weights_of_classes
from hybrid_trainer.build.machine import Machine, machine
from hybrid_trainer.build.model import model_spec, origin_of
from hybrid_trainer.build.onlookers import callbacks, checkpoint_of, load_best
from hybrid_trainer.build.saved import golden_windows, inference_layout, predictor
from hybrid_trainer.build.training import augmentation, schedule, trainer

__all__ = [
    "Machine",
    "augmentation",
    "callbacks",
    "checkpoint_of",
    "golden_windows",
    "inference_layout",
    "load_best",
    "machine",
    "model_spec",
    "oracles",
    "origin_of",
    "predictor",
    "schedule",
    "trainer",
    "weights_of_classes",
]
