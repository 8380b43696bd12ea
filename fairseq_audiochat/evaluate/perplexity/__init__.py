"""Table 2: scores of responses, groups of utterances, the table and its picture."""
