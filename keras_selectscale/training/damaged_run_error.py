"""What is raised of a run's files."""


class DamagedRunError(ValueError):
    """A file of a run folder that cannot be read or does not fit the others; it is named."""
