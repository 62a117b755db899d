"""Case + host facts → Plan.

Pure: values in, values out.
"""
