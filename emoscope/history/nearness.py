"""Embeddings side by side: which are most alike, and a map on which like lies beside like."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emoscope.errors import OptionError
from emoscope.results import Progress, quiet
from emoscope.timeline import Floats

Numbers: TypeAlias = NDArray[np.int64]

SEED = 0  # the same runs give the same map
CROWD = 30  # runs that are neighbours to t-SNE, where there are so many; its own default
ROUNDS, STEPS = 4, 250  # of t-SNE: its usual thousand steps
EXAGGERATION = 12.0  # of distances in the first round, so that clusters find together; its own default
MOST = 8  # clusters, because a person can tell no more colours apart
SAMPLE = 500  # runs that the number of clusters is chosen by: the silhouette compares all pairs
WIDTH = 50  # directions that hold nearly all of what an embedding says; more only cost time


def cosines(vectors: Floats, to: Floats) -> Floats:
    """Return the cosine of every vector, (N, D), to one, (D,); 0 where one has no length."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(to)
    products = vectors @ to  # (N, D) @ (D,) -> (N,)
    found: Floats = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return found.clip(-1, 1)  # rounding goes a little beyond


def nearest(blocks: Iterable[tuple[Numbers, Floats]], to: Floats, limit: int) -> list[tuple[int, float]]:
    """Return the `limit` numbers whose vectors are most alike to one, with their cosines, the most alike first.

    `blocks` are numbers (N,) with vectors (N, D), so that only a block has to be in memory.
    """
    best: list[tuple[int, float]] = []
    for numbers, vectors in blocks:
        best += zip(numbers.tolist(), cosines(vectors, to).tolist(), strict=True)
        best = sorted(best, key=lambda found: (-found[1], found[0]))[:limit]
    return best


def draw(vectors: Floats, kind: str, progress: Progress = quiet) -> Floats:
    """Return a place on the map for every vector, (N, D) -> (N, 2); raises OptionError for an unknown kind."""
    if kind not in MAPS:
        raise OptionError(f"A map is {', '.join(MAPS)}, not “{kind}”.")
    if len(vectors) < 4:  # t-SNE has nothing to arrange
        kind = "pca"
    with _one_thread():
        return MAPS[kind](_narrow(_unit(vectors)), progress).astype(np.float32)


def cluster(vectors: Floats, count: int | None = None) -> Numbers:
    """Return the number of a cluster for every vector, (N, D) -> (N,): 0 is the largest.

    Without `count` there are as many as have the best silhouette; one where nothing can be told apart.
    """
    from sklearn.cluster import KMeans

    with _one_thread():
        narrow = _narrow(_unit(vectors))
        distinct = _distinct(narrow)
        if count is None:
            count = _best_count(narrow, distinct) if distinct > 2 else 1
        count = max(1, min(count, distinct))
        found = KMeans(count, n_init=10, random_state=SEED).fit_predict(narrow)
    by_size = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    names = np.empty(count, dtype=np.int64)
    names[by_size] = np.arange(count)
    renamed: Numbers = names[found]
    return renamed


@contextmanager
def _one_thread() -> Iterator[None]:
    """Leave the other cores to whoever is listening; for so few numbers threads would only wait for each other."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def _narrow(unit: Floats) -> Floats:
    """Return vectors of `WIDTH` numbers at most, as far apart as before: (N, D) -> (N, <= 50)."""
    from sklearn.decomposition import PCA

    if min(unit.shape) <= WIDTH:
        return unit
    narrow: Floats = PCA(WIDTH, random_state=SEED).fit_transform(unit)
    return narrow


def _distinct(vectors: Floats) -> int:
    return len(np.unique(vectors, axis=0))


def _best_count(unit: Floats, distinct: int) -> int:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    if len(unit) > SAMPLE:
        unit = unit[np.random.default_rng(SEED).choice(len(unit), SAMPLE, replace=False)]
        distinct = _distinct(unit)
    scores: dict[int, float] = {}
    for count in range(2, min(MOST, len(unit) - 1, distinct) + 1):
        found = KMeans(count, n_init=3, random_state=SEED).fit_predict(unit)
        scores[count] = float(silhouette_score(unit, found))
    return max(scores, key=lambda count: scores[count], default=1)


def _unit(vectors: Floats) -> Floats:
    """Return vectors of length 1, between which the distance grows as the cosine falls."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def _pca(unit: Floats, _progress: Progress) -> NDArray[Any]:
    from sklearn.decomposition import PCA

    if _distinct(unit) < 2:
        return np.zeros((len(unit), 2))
    axes = min(2, *unit.shape)
    points: NDArray[Any] = PCA(axes, random_state=SEED).fit_transform(unit)
    return np.pad(points, ((0, 0), (0, 2 - axes)))


def _tsne(unit: Floats, progress: Progress) -> NDArray[Any]:
    """Arrange the vectors in rounds, between which `progress` is told; only the first one exaggerates the distances."""
    from sklearn.manifold import TSNE

    perplexity = min(CROWD, (len(unit) - 1) / 3)
    rate = max(len(unit) / EXAGGERATION / 4, 50.0)  # scikit-learn's own; it would change with the exaggeration
    places: Any = "random"
    for number in range(ROUNDS):
        progress("Arranging the runs", number / ROUNDS)
        exaggeration = 1.0 if number else EXAGGERATION
        places = TSNE(
            2,
            perplexity=perplexity,
            init=places,
            early_exaggeration=exaggeration,
            learning_rate=rate,
            max_iter=STEPS,
            random_state=SEED,
        ).fit_transform(unit)
    found: NDArray[Any] = places
    return found


MAPS: dict[str, Callable[[Floats, Progress], NDArray[Any]]] = {"pca": _pca, "tsne": _tsne}
