"""Rules about the files that configure caches, one file per rule."""
