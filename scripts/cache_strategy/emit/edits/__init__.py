"""Code edits, one per file. Each takes the text of a file and gives the edited text; a second time changes nothing."""
