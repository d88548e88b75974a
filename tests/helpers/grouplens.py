"""Made-up files in the form of GroupLens' ml-100k: by default two users, seven films, ten ratings each."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, users: int = 2, ratings: int = 10) -> None:
    """Write u.data, u.user and u.item (Latin-1, no header); `ratings` of each user."""
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
    # Every second one alike.
    people = [("24|M|writer|85711", "53|F|other|T8H1N")[user % 2] for user in range(users)]
    numbered = [f"{number}|{rest}\n" for number, rest in enumerate(people, start=1)]
    (folder / "u.user").write_text("".join(numbered), encoding="latin-1")
    (folder / "u.item").write_text("\n".join(films) + "\n", encoding="latin-1")
