"""What is wrong with the command line itself."""


class UsageError(Exception):
    """This cannot be meant; the text says why."""
