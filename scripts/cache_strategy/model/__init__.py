"""The nouns that travel between stages: frozen dataclasses, and the one way to write and read them as JSON."""
