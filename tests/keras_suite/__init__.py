"""Keras's own tests on leptonc: ``make keras-tests``, or ``python -m tests.keras_suite [FOLDER ...]`` where Keras is installed.

They come from the installed wheel. What fails is in ``excluded.txt`` with its reason, one line each; a test that is listed and
passes is a failure too, so that the list stays true.
"""
