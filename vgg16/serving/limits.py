"""How much one request, one connection and all of them together may ask for."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024**2


@dataclass(frozen=True)
class Limits:
    """Sizes are in bytes, times in seconds.

    A picture is a part of `part_bytes` and `pixels` at most; a request has `images` of them, and `request_bytes`,
    or `json_bytes` where it is JSON, of which each byte takes ten while it is read. All requests together are held
    in `held_bytes`, and `queued_images` wait for the model, fewer where it would take longer than `queued_seconds`
    for them. It takes `batch_images` at once: the first one waits up to `batch_seconds` for those that are being
    decoded. For a challenger that answers too, `shadow_images` wait, and pictures of `shadow_bytes`, decoded, where
    it must see them in another way; of what is more it is not asked.

    Of a connection the head of a request must have arrived within `head_seconds`, and its body within `body_seconds`
    and the time that it takes at `bytes_per_second`. Without a request it is closed after `idle_seconds`. Once a
    service is to end, what is running has `finish_seconds`.
    """

    part_bytes: int = 32 * _MIB
    pixels: int = 64_000_000  # up to 7 bytes each while they are decoded
    images: int = 64
    request_bytes: int = 64 * _MIB
    json_bytes: int = 16 * _MIB
    held_bytes: int = 256 * _MIB
    queued_images: int = 256
    queued_seconds: float = 5.0
    batch_images: int = 32
    batch_seconds: float = 0.003
    shadow_images: int = 64
    shadow_bytes: int = 64 * _MIB
    connections: int = 256
    head_seconds: float = 10.0
    body_seconds: float = 10.0
    bytes_per_second: int = 16 * 1024
    idle_seconds: float = 30.0
    finish_seconds: float = 20.0
