"""Convert files of other tools to cases.

Pure: document in, text of a case and a list of what is lost out.
"""
