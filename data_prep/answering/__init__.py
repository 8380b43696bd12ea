"""How transcripts are answered: prompts, the engines that answer them, and files of responses."""
