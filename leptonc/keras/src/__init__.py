"""The backend, laid out as Keras wants its backends: ops, variable, layer, trainer, optimizer, random, rnn, export.

Tensors are NumPy arrays outside of a trace, and traced values inside; all is written on leptonc's public functions.
"""
