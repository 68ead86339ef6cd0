"""The words of messages: numbers with their nouns."""


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as `1 epoch` or `1,200 epochs`.

    Args:
        number: The number.
        noun: The noun in the singular, whose plural ends in s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(message: object) -> str:
    """Returns a library's message in one line, cut to 300 characters; it may repeat a file."""
    text = " ".join(str(message).split())
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text):,} characters)"


def literal(text: str) -> str:
    """Returns text for a picture, in which Matplotlib would take dollar signs for formulas."""
    return text.replace("$", r"\$")
