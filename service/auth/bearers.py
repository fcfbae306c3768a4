"""Bearers: who comes with an API key, or with a token of the identity provider if there is one."""

from service.auth.kept_keys import PREFIX
from service.auth.keys import Key, Keys, NotRecognised
from service.auth.tokens import Tokens


class Bearers:
    """Recognises whoever comes."""

    def __init__(self, keys: Keys, tokens: Tokens | None = None) -> None:
        self.keys, self._tokens = keys, tokens

    def known(self, token: str) -> Key | None:
        """Return who this process knows a token to be, at no cost, or None if that has to be found out."""
        if token.startswith(PREFIX):
            return self.keys.known(token)
        return self._tokens.known(token) if self._tokens else None

    def remembers(self, token: str) -> bool:
        """Whether a token was good when it was last looked at: it is no guess."""
        return self.keys.remembers(token) if token.startswith(PREFIX) else self.known(token) is not None

    async def recognise(self, token: str) -> Key:
        """Return who a token is. Raises ``NotRecognised``, ``ProviderAway`` or an error of the ledger."""
        if token.startswith(PREFIX):
            return await self.keys.recognise(token)
        if self._tokens is None:
            raise NotRecognised("this is no API key")
        return await self._tokens.recognise(token)
