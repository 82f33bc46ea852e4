"""How soon after one frame a client may get the next."""

PAUSE_PER_DEVICE_S = 20e-6
"""Ten times what it costs to encode one, so a single view takes at most a tenth of the loop."""

FRAMES_PER_S = 5_000
"""Of all clients of a process together: a quarter of a core goes into socket writes."""

LONGEST_PAUSE_S = 0.25
"""However busy the process is, a map is redrawn four times a second."""


def pause_s(*, devices: int, sessions: int) -> float:
    """Seconds to wait after a frame with this many devices while this many sessions are open.

    With few clients a change leaves at once; with many, each hears less often and of more at a time.
    """
    return min(LONGEST_PAUSE_S, max(devices * PAUSE_PER_DEVICE_S, sessions / FRAMES_PER_S))
