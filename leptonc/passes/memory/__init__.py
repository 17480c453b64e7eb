"""Passes that decide when kernels run and where buffers lie."""
