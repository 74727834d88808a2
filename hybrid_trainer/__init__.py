"""hybrid_trainer: train, test and compare multi-task sequence models on time-ordered panels."""
