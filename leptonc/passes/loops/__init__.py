"""Passes over the loop nests of a Program: lowering, fusion, tiling."""
