"""Timing training steps: the same network, weights and data in leptonc and its peers, rounds interleaved."""
