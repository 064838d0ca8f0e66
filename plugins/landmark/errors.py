"""What can go wrong for a reason that a user can act on."""


class LandmarkError(Exception):
    """A failure whose message is one line: the object, the reason, the remedy.

    Trying again without a change does not help; the DAGs fail such a task at once.
    """


class UnusableImage(LandmarkError):
    """An image that cannot give features; it is recorded and the batch goes on."""
