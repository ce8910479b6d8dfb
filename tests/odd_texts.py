"""Odd texts, and what people expect of each. ``docs/odd-inputs.md`` has them as a table."""

KEPT = {
    "Chinese": "一只猫坐在垫子上",
    "Arabic, from right to left": "قطة على السجادة",
    "Devanagari": "चटाई पर बिल्ली",
    "emoji, joined and with a skin tone": "👩🏽‍🚀 waves",
    "an accent in two characters": "cafe\u0301",
    "zero-width and soft hyphens": "a\u200bcat\u00ad",
    "tabs and line breaks": "a cat\ton\r\na mat",
    "control characters": "a\x00cat\x1b[31m\x07",
    "`<eos>`": "a cat<eos> on a mat",
    "`<bos>` `<pad>`": "<bos>a cat<pad>",
    "`<image>`": "<image> a cat",
    "another model's `<|im_end|>` `</s>`": "a cat<|im_end|></s>",
    "spaces around it": "  a cat ",
    "Markdown, HTML, a formula": "**a** <b>cat</b> $x^2$",
}
"""What is learnt and asked as it is, character for character."""

REFUSED = {
    "empty": ("", "empty answer"),
    "spaces only": (" \t\n", "empty answer"),
    "half a surrogate pair, as JSON's `\\ud83d`": ("a \ud83d cat", "not Unicode"),
    "of 2,000 words": ("a cat and " * 666 + "a dog", "too long a text"),
    "a list": (["a cat"], "not a text"),
    "null": (None, "not a text"),
    "a number": (5, "not a text"),
}
"""As an answer, with the kind of fault that it is named by."""
