"""The project index: what the other files of a project say about its caches, as lines that the hook searches by bytes."""
