"""The dialect of files with `test_cases`, each of which serves on one host."""
