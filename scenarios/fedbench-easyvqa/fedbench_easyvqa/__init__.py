"""easy-VQA as a federation of question types: a data set and its scenarios."""
