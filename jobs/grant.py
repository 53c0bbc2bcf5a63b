"""`asof grant`: tokens of the HTTP service. A token is shown once; the file has its digest."""

from features.definitions.catalog import load_catalog
from features.serving.tokens import grant, revoke
from features.settings import Settings
from jobs.commands import Exit, Grant
from jobs.stages import say

__all__ = ["run"]


def run(command: Grant, settings: Settings) -> int:
    """Prints the new token, and nothing else of it anywhere.

    Raises:
        MissingError: there is no such service, or nobody of that name holds a token.
        SettingsError: the file cannot be read.
    """
    if command.revoke:
        revoke(settings.tokens, command.holder)
        say(f"The token of {command.holder} is no longer good.")
        return Exit.OK
    catalog = load_catalog(settings.catalog)
    for service in command.services:
        catalog.service(service)
    say(grant(settings.tokens, command.holder, command.services))
    return Exit.OK
