"""Optimizers."""
from keras.src.optimizers import base_optimizer


class LeptoncOptimizer(base_optimizer.BaseOptimizer):
    pass
