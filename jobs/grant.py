"""`asof grant`: tokens of the HTTP service. A token is shown once; the file has its digest."""

from features.definitions.catalog import load_catalog
from features.serving.push import pushable
from features.serving.push_http import PUSH_RIGHT
from features.serving.tokens import grant, revoke
from features.settings import Settings
from jobs.commands import Exit, Grant
from jobs.stages import say

__all__ = ["run"]


def run(command: Grant, settings: Settings) -> int:
    """Prints the new token, and nothing else of it anywhere.

    Raises:
        MissingError: there is no such service or source, or nobody of that name holds a token.
        InputError: no view follows a source.
        SettingsError: the file cannot be read.
    """
    if command.revoke:
        revoke(settings.tokens, command.holder)
        say(f"The token of {command.holder} is no longer good.")
        return Exit.OK
    catalog = load_catalog(settings.catalog)
    for service in command.services:
        catalog.service(service)
    for source in command.sources:
        pushable(catalog, source)
    rights = (*command.services, *(PUSH_RIGHT + source for source in command.sources))
    say(grant(settings.tokens, command.holder, rights))
    return Exit.OK
