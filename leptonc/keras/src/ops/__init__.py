"""The ops, by Keras's modules."""
