"""Random programs over the whole public surface, compiled and compared with what they mean: ``python -m tests.fuzz --seconds 60``.

A program is a value (``program.py``) that prints as a Python snippet; what runs is that snippet, so a finding is a reproducer.
``generate.py`` draws programs, with the steps of ``steps_*.py`` and the larger structures of ``networks.py``. ``rounding.py`` says
what their results are and how far rounding may take them; ``check.py`` compares compiled code with that in many ways; ``reduce.py``
makes a program that fails small; ``campaign.py`` runs many in processes that may crash.
"""
