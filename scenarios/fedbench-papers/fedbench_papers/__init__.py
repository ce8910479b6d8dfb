"""The set-ups of the two papers: vision-language checkpoints and preference data in Hugging Face format."""
