"""The words of messages: numbers with their nouns."""


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as `1 epoch` or `1,200 epochs`.

    Args:
        number: The number.
        noun: The noun in the singular, whose plural ends in s.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
