"""How a run can fail, by exit code: 2 what the user wrote, 3 the venue, 4 orders that may still rest."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The user's input cannot work; the text is one paragraph and names the cure. Exit code 2."""


class VenueUnreachable(Exception):
    """The venue refused us or cannot be reached; the text names the cause and the cure. Exit code 3."""
