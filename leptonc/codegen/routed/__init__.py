"""Routed sums: lists of nonzero entries, and their products."""
