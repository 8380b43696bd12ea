"""Answers to spoken questions: searched, judged, in a table."""
