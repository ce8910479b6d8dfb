"""Preference data over emoji, easy-VQA and handwritten digits, and the policy that they align."""
