"""The rules that look at shell commands, one file each."""
