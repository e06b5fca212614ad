"""What emit can speak, one folder per target, templates beside the code that renders them."""
