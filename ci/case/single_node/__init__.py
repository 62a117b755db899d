"""Read case files with `test_cases`, each of which uses one host."""
