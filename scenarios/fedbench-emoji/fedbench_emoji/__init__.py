"""Emoji drawings by three artists, and the nano vision and language models fedbench runs on."""
