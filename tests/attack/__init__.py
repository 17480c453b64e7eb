"""The runtime under attack: exceptions at every line, threads, forks, Ctrl-C, signal handlers, no memory, guard pages, bad files.

``python -m tests.attack --help``. Each attack runs in processes of its own; what is counted are attempts, and those that ended in
a wrong number, an exception that nobody sent, a crash, or a hang. ``tests/test_attack.py`` runs a fixed small share of each.
"""
