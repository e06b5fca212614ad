"""The rules that look at Python files, one file each."""
