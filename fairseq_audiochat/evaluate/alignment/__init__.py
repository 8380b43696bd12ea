"""Figure 3: cosines of audio and text embeddings, in pictures and in numbers."""
