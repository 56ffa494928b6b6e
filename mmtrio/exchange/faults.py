"""What may go wrong between a venue and its clients, as places to step in. Tests and chaos override them."""

from __future__ import annotations

from typing import Any

import attrs

from mmtrio.exchange.client_frames import Topic


@attrs.frozen
class HttpRequest:
    """A request of a client, before the venue looks at it. `body` is the parsed JSON."""

    path: str
    body: Any
    peer_name: str
    is_post: bool = False
    """True for a request that came as a WebSocket post."""

    @property
    def action_type(self) -> str | None:
        """`order`, `cancelByCloid` and the like; None for reads."""
        action = self.body.get("action") if isinstance(self.body, dict) else None
        kind = action.get("type") if isinstance(action, dict) else None
        return kind if self.path == "/exchange" and isinstance(kind, str) else None


@attrs.frozen
class HttpReply:
    """An answer. `body` goes out as JSON; `text`, where given, as it is."""

    status: int
    body: Any = None
    text: str | None = None


class Faults:
    """A venue without faults: every method lets everything pass. Subclass and give it to `LocalVenue`."""

    async def before_request(self, request: HttpRequest) -> HttpReply | None:
        """An answer instead of the venue's (429, 502), or None to let the venue work. It may also wait."""
        return None

    async def before_reply(self, request: HttpRequest, reply: HttpReply) -> HttpReply | None:
        """The reply to send, after the venue has done what was asked; None resets the connection instead."""
        return reply

    def passes_ack(self, topic: Topic) -> bool:
        """False swallows the ack of a subscription, which is made all the same."""
        return True

    def passes_frame(self, topic: Topic) -> bool:
        """False swallows a frame of this topic: a feed that died while its socket lives."""
        return True
