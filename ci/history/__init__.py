"""The history of the runs: a database of their figures, and the accepted baselines.

Everything in the database comes from the folders of the runs; the baselines are files in git.
"""
