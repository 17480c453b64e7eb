"""Sorts: sorting networks for many short rows, radix sort for long ones, a threshold for the first few elements."""
