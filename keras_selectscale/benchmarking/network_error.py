"""The error of a network that cannot be made."""


class NetworkError(ValueError):
    """Raised where the name of a network has an invalid depth or width."""
