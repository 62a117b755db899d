"""What is made on hosts before a night: environments and models. Recipes travel there."""
