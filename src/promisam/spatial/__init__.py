"""Methods of pictures on volumes, and other matters of space."""
