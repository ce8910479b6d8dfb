"""The papers' own set-ups: vision-language checkpoints and preference data in Hugging Face format."""
