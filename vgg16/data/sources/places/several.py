"""Several places as one, each with its own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vgg16.data.sources.places.place import File, Place


class Several:
    """Places by their short names, which stand before the paths of their files: `photos/cat/1.jpg`."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self.places = dict(places)
        self.address = ", ".join(place.address for place in places.values())

    def files(self) -> Iterator[File]:
        """The files of one place after the other."""
        for name, place in self.places.items():
            yield from (file._replace(path=f"{name}/{file.path}") for file in place.files())

    def read(self, path: str) -> bytes:
        """A file's bytes, as its own place reads it."""
        name, _, inside = path.partition("/")
        return self.places[name].read(inside)
