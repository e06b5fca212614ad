"""Rules that need the other files of the project: silent without a fresh index of it."""
