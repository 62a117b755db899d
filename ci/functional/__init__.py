"""Prove an OpenAI-compatible API case by case: the suite, requests, assertions, and their report.

Contacts the endpoint over HTTP and nothing else; knows no hosts.
"""
