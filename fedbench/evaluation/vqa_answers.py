"""Answers in one spelling, by the rules of the VQA evaluation (arXiv 1505.00468, visualqa.org/evaluation).

Lower case; no full stops but in decimals; number words as digits; no articles; contractions with their
apostrophe; other marks, but apostrophes and colons, become spaces, or nothing beside a space or if there is a
comma between digits.
"""

from __future__ import annotations

import re

MARKS = ';/[]"{}()=+\\_-><@`,?!'
ARTICLES = frozenset({"a", "an", "the"})
NUMBERS = "zero one two three four five six seven eight nine ten"
DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(NUMBERS.split())}
CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't
    he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've
    must've mustn't needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've
    somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's something'd
    something'd've something'll that's there'd there'd've there're there's they'd they'd've they'll
    they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd
    where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't
    wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
"""
"""Those that the evaluation knows; ``we'll`` and the like are other words without their apostrophe."""


def _without_an_apostrophe(word: str) -> list[str]:
    """The word without each of its apostrophes in turn."""
    return [word[:place] + word[place + 1 :] for place, mark in enumerate(word) if mark == "'"]


SPELT = {wrong: word for word in CONTRACTIONS.split() for wrong in _without_an_apostrophe(word)}
DECIMAL_COMMA = re.compile(r"\d,\d")
FULL_STOP = re.compile(r"\.(?!\d)")


def normalised(answer: str) -> str:
    """Spell an answer as the evaluation does; one of which nothing would be left stays as it is."""
    text = kept = " ".join(answer.lower().split())
    joined = DECIMAL_COMMA.search(text) is not None
    for mark in MARKS:
        beside_a_space = f"{mark} " in kept or f" {mark}" in kept
        text = text.replace(mark, "" if joined or beside_a_space else " ")
    words = (DIGITS.get(word, word) for word in FULL_STOP.sub("", text).split())
    return " ".join(SPELT.get(word, word) for word in words if word not in ARTICLES) or kept
