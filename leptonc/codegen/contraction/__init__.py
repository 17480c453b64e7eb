"""Sums of products: roles, register tiles, packing, epilogues."""
