"""What an agent does when asked: files, HTTP, connections to other hosts."""
