"""Image–text data of one's own, from files or the Hugging Face Hub: a scenario names the columns."""
