"""easy-VQA as a federation of question types."""
