"""The error of this package."""


class ReviewError(ValueError):
    """A page cannot be made or ratings cannot be used; the message says what, where and what to do."""
