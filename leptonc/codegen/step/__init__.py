"""The whole step: kernels as units, their order, barriers and prefetches."""
