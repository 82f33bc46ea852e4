"""What is raised where the environment does not say what the API needs."""


class BadSettings(Exception):
    """The sentence names the variable and the remedy, and repeats no secret."""
