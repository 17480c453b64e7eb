"""Prefix scans: rows in registers, vector by vector, or many side by side; long rows in blocks."""
