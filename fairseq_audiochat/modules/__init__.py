"""Neural building blocks with plain arguments; they know neither fairseq's configs nor tasks."""
