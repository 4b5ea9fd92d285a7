"""What is decided: the fold of the journal, and the differences to what is seen. Pure."""
