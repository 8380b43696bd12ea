"""Tables 3 and 4: what raters are shown, what they say, and what follows from it."""
