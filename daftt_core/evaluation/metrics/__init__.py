"""Metrics as modules of the ``evaluate`` library, one a file, that need no network.

Each also loads by its path: ``evaluate.load(".../metrics/accuracy.py")``. All take strings. With
``per_example=True`` a metric that is a mean over examples gives the list behind the mean.
"""
