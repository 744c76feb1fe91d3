"""The key that live tests use, and what it looks like wherever it might leak."""

import base64

CANARY = "0x" + "c0ffee" * 10 + "1234"


def forms(key):
    """A key as text, bytes, number and list, in either order and case."""
    raw = bytes.fromhex(key[2:])
    return [
        key[2:].encode(), key[2:].upper().encode(), raw, raw[::-1], base64.b64encode(raw)[:40],
        str(int(key, 16)).encode(), repr(list(raw))[1:60].encode(),
    ]  # fmt: skip


def leaks_in(content):
    """The forms of the canary that some bytes contain."""
    return [form for form in forms(CANARY) if form in content]
