"""Every bound a peer can push on, each with its reason."""

MAX_FRAME_BYTES = 16 * 1024
"""A 96-slot cabinet in JSON with long unit ids and faults fits; a broker queue of 1,000 stays below 17 MB."""

MAX_SLOTS = 96
"""The largest cabinet family on sale has 80 holes, the largest locker bank on one board 96 doors."""

MAX_ID_CHARS = 32
"""IMEI (15), ICCID (20) and a 128-bit id in hex (32) fit; topics and index rows stay short."""

MAX_CODE_CHARS = 24
"""A fault is a name, not a sentence."""

MAX_TEXT_CHARS = 48
"""Firmware versions with a build suffix; shown to people, so also cleaned before a log or a page."""

MAX_FAULTS = 16
"""More simultaneous faults than that is one fault: broken."""

MAX_ACCURACY_M = 100_000.0
"""A fix worse than a cell tower's reach is not a fix."""

MAX_FIX_AGE_MS = 30 * 24 * 3600 * 1000
"""Older than the oldest report that history accepts."""

MAX_RECEIPT_STAMPS = 64
"""One receipt stays below 1.5 KiB; the gateway sends several."""

KEPT_RING_SIZE = 64
"""What the smallest conforming device must hold without dropping a kept report."""

MAX_CBOR_DEPTH = 8
"""A report nests four deep (report, slots, slot, faults); twice that leaves room for later fields."""

MAX_JSON_BRACKETS = 512
"""A full cabinet opens 198 objects and arrays; a bound on all of them also bounds how deep they nest."""

MAX_REASON_CHARS = 120
"""One line of a log or of the quarantine list."""

REMEMBERED_COMMANDS = 64
"""Command ids with their results that a device keeps over a loss of power: more than can arrive before they expire."""

MAX_SETTINGS = 16
"""What one CONFIGURE may change; its frame stays below MAX_SEALED_BYTES."""

MAX_SETTING_CHARS = 64
"""A setting is a number, a switch or a short name."""

MAX_SEALED_BYTES = 2048
"""A signed frame: the longest settings need 1.7 KB, and a small device has the memory for one whole frame."""

DEVICE_KEY_BYTES = 32
"""As long as the tag of HMAC with SHA-256."""
