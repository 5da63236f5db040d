"""A film gives back every picture that it was made of."""

from __future__ import annotations

import json
from random import Random

from praxis_core.pictures.film import Film


def test_every_picture_comes_back_and_only_changes_are_kept() -> None:
    """Also where pieces come, go and repeat."""
    random = Random(7)  # noqa: S311  # the same every time
    wells = [f'<path d="M{n} 0h1"/>' for n in range(500)]
    pictures = []
    for _ in range(60):
        for _ in range(random.randrange(4)):
            at = random.randrange(len(wells))
            match random.randrange(3):
                case 0:
                    wells[at] = f'<path d="M{random.randrange(9)} 1"/>'
                case 1:
                    del wells[at]
                case _:
                    wells.insert(at, "<title>a &lt; b</title>")
        pictures.append(f"<svg>{''.join(wells)}</svg>")
    film = Film()

    for one in pictures:
        film.add(one)

    assert [film.picture(n) for n in range(60)] == pictures
    assert len(json.dumps(film.document())) < 2.5 * len(pictures[0])
