"""What can be wrong with a frame or a topic, as facts a caller can react to."""

from firmware_protocol.limits import MAX_REASON_CHARS


def printable(text: str, *, limit: int = MAX_REASON_CHARS) -> str:
    """A peer's text made fit for a log or a page: ASCII without control characters, at most `limit` long."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:limit])


class MalformedFrame(ValueError):
    """A frame that says nothing: `reason` for a person, `at` a path like `$.slots[0].number` or `byte 17`."""

    def __init__(self, reason: str, at: str) -> None:
        self.reason = printable(reason)
        self.at = printable(at)
        super().__init__(f"{self.reason} at {self.at}")

    def __reduce__(self) -> tuple[type["MalformedFrame"], tuple[str, str]]:
        return MalformedFrame, (self.reason, self.at)


class BadSeal(ValueError):
    """A frame that gateway and device did not make for each other: `unknown_key`, `wrong_tag`, `wrong_device`. Who
    gets one stays silent: an answer would tell a forger something."""

    def __init__(self, reason: str) -> None:
        self.reason = printable(reason)
        super().__init__(self.reason)

    def __reduce__(self) -> tuple[type["BadSeal"], tuple[str]]:
        return BadSeal, (self.reason,)


class MalformedTopic(ValueError):
    """A topic, or an id meant for one, that the grammar does not allow."""

    def __init__(self, reason: str, topic: str) -> None:
        self.reason = printable(reason)
        self.topic = printable(topic)
        super().__init__(f"{self.reason}: {self.topic}")

    def __reduce__(self) -> tuple[type["MalformedTopic"], tuple[str, str]]:
        return MalformedTopic, (self.reason, self.topic)
