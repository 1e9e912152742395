"""What is on disk: rows, their index, their readers."""
