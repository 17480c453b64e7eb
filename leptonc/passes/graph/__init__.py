"""Passes from Graph to Graph: rewriting, differentiation, and what they stand on."""
