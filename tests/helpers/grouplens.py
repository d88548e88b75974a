"""Made-up files in the format of GroupLens' ml-100k: by default two users, seven films, ten ratings per user."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, users: int = 2, ratings: int = 10) -> None:
    """Write u.data, u.user and u.item (Latin-1, no header), with `ratings` ratings per user."""
    folder.mkdir(parents=True)
    lines = [
        f"{user}\t{1 + i % 7}\t{1 + (i * 3 + user) % 5}\t{880000000 + 1000 * i}"
        for user in range(1, users + 1)
        for i in range(ratings)
    ]
    films = []
    for film in range(1, 8):
        # The flags are unknown, Action, Adventure, Animation, Children's, Comedy, Crime, Documentary, Drama, ...
        flags = ["0"] * 19
        flags[1 if film % 2 else 8] = "1"
        films.append(
            f"{film}|Caf\xe9 {film} ({1989 + film})|01-Jan-{1989 + film}||http://example.org|{'|'.join(flags)}"
        )
    (folder / "u.data").write_text("\n".join(lines) + "\n", encoding="latin-1")
    # Two kinds of users in turn.
    profiles = ("24|M|writer|85711", "53|F|other|T8H1N")
    people = [f"{user + 1}|{profiles[user % 2]}\n" for user in range(users)]
    (folder / "u.user").write_text("".join(people), encoding="latin-1")
    (folder / "u.item").write_text("\n".join(films) + "\n", encoding="latin-1")
