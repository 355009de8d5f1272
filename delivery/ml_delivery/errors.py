"""What a user can put right; the message says what, and what would be right."""


class DeliveryError(Exception):
    """The message is all that the user sees."""
