"""Trainer."""
from keras.src.trainers import trainer as base_trainer


class LeptoncTrainer(base_trainer.Trainer):
    pass
