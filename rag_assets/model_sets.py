"""Models that make vectors, as sets: what a model takes and gives, and how its texts are to begin.

The known ones are as their authors describe them. A set is compared with the metadata of a GGUF file, so that another
dimension, another pooling or a forgotten prefix is found before anything is embedded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

Pooling = Literal["mean", "cls", "last"]

CUT_MARK = "@"  # between the name of a model and the dimension that its vectors are cut to
_POOLINGS: Mapping[int, Pooling] = {1: "mean", 2: "cls", 3: "last"}  # as GGUF files number them
_SEARCHING = "Represent this sentence for searching relevant passages: "


@dataclass(frozen=True, kw_only=True)
class ModelSet:
    """What is to be known of a model; `name` is stored with each of its vectors."""

    name: str
    dimension: int  # numbers of a vector that is stored
    pooling: Pooling = "mean"
    longest: int | None = None  # tokens of one text, special ones and the prefix included; None: not known
    query_prefix: str = ""  # what each question begins with
    passage_prefix: str = ""  # what each chunk begins with
    normalized: bool = True  # whether the engine gives vectors of length 1; else they are brought to it here
    whole_dimension: int | None = None  # numbers that the engine gives, where the first `dimension` of them are kept
    centred: bool = False  # whether their mean is taken off before they are cut
    dimensions: tuple[int, ...] = ()  # that its vectors may be cut to (Matryoshka)

    @property
    def given_dimension(self) -> int:
        """Numbers of a vector as the engine gives it."""
        return self.whole_dimension or self.dimension

    @property
    def room(self) -> int:
        """Tokens that are kept free for the prefix of a chunk; no token is shorter than a character."""
        return len(self.passage_prefix)

    def cut(self, dimension: int) -> "ModelSet":
        """The same model with the first so many numbers of each vector; ValueError where it is not made for that."""
        if dimension == self.dimension:
            return self
        if dimension not in self.dimensions:
            may = ", ".join(map(str, sorted(self.dimensions))) or f"{self.dimension} alone"
            raise ValueError(f"vectors of {self.name} cannot be cut to {dimension} dimensions; allowed is {may}")
        name = f"{self.name}{CUT_MARK}{dimension}"
        return replace(self, name=name, dimension=dimension, whole_dimension=self.given_dimension, dimensions=())


_KNOWN = (
    ModelSet(name="all-MiniLM-L6-v2", dimension=384, longest=512),
    ModelSet(name="bge-small-en-v1.5", dimension=384, pooling="cls", longest=512, query_prefix=_SEARCHING),
    ModelSet(name="e5-small-v2", dimension=384, longest=512, query_prefix="query: ", passage_prefix="passage: "),
    ModelSet(
        name="multilingual-e5-small", dimension=384, longest=512, query_prefix="query: ", passage_prefix="passage: "
    ),
    ModelSet(name="snowflake-arctic-embed-s", dimension=384, pooling="cls", longest=512, query_prefix=_SEARCHING),
    ModelSet(
        name="nomic-embed-text-v1.5",
        dimension=768,
        longest=2_048,  # that its GGUF files are made for; more needs other scaling of positions
        query_prefix="search_query: ",
        passage_prefix="search_document: ",
        centred=True,
        dimensions=(64, 128, 256, 512, 768),
    ),
    ModelSet(
        name="embeddinggemma-300m",
        dimension=768,
        longest=2_048,
        query_prefix="task: search result | query: ",
        passage_prefix="title: none | text: ",
        dimensions=(128, 256, 512, 768),
    ),
    ModelSet(name="bge-m3", dimension=1_024, pooling="cls", longest=8_192),
)
KNOWN: Mapping[str, ModelSet] = {one.name: one for one in _KNOWN}


def known(name: str) -> ModelSet | None:
    """The known set of this name, as `NAME` or `NAME@DIMENSION`; None where there is none. ValueError as `cut`."""
    whole, _, dimension = name.partition(CUT_MARK)
    found = KNOWN.get(whole)
    if found is None or not dimension:
        return found
    return found.cut(int(dimension)) if dimension.isascii() and dimension.isdigit() else None


def written(one: ModelSet) -> dict[str, Any]:
    """A set as JSON has it."""
    return asdict(one)


def read(values: Mapping[str, Any]) -> ModelSet:
    """The set that `written` gave; names that a later version added are passed over."""
    names = {field.name for field in fields(ModelSet)}
    chosen = {name: value for name, value in values.items() if name in names}
    return ModelSet(**chosen | {"dimensions": tuple(chosen.get("dimensions", ()))})


def misfits(one: ModelSet, metadata: Mapping[str, Any]) -> list[str]:
    """What the metadata of a GGUF file says otherwise than the set, each with both; what it does not say is no misfit.

    The pooling is that which the model was made with, and a file of a known model has that model's prefixes.
    """
    kind = metadata.get("general.architecture")
    given, longest = metadata.get(f"{kind}.embedding_length"), metadata.get(f"{kind}.context_length")
    pooling = _POOLINGS.get(metadata.get(f"{kind}.pooling_type", -1))
    found = []
    if given is not None and given != one.given_dimension:
        found.append(f"its vectors have {given} dimensions, and those of {one.name} have {one.given_dimension}")
    if pooling is not None and pooling != one.pooling:
        found.append(f"its pooling is {pooling}, and that of {one.name} is {one.pooling}")
    if longest is not None and one.longest is not None and longest < one.longest:
        found.append(f"it takes {longest} tokens at most, and {one.name} is to take {one.longest}")
    return found + _other_prefixes(one, _named(metadata))


def _named(metadata: Mapping[str, Any]) -> ModelSet | None:
    """The known model whose name the file has: the longest one, as some names contain another."""
    names = [_plain(str(metadata.get(key) or "")) for key in ("general.name", "general.basename")]
    return _longest(one for one in KNOWN.values() if any(_plain(one.name) in name for name in names))


def _longest(sets: Iterable[ModelSet]) -> ModelSet | None:
    return max(sets, key=lambda one: len(one.name), default=None)


def _other_prefixes(one: ModelSet, of_file: ModelSet | None) -> list[str]:
    if of_file is None:
        return []
    pairs = {
        "query_prefix": (one.query_prefix, of_file.query_prefix),
        "passage_prefix": (one.passage_prefix, of_file.passage_prefix),
    }
    return [
        f"it is {of_file.name}, whose {name} is {theirs!r}, and that of {one.name} is {ours!r}"
        for name, (ours, theirs) in pairs.items()
        if ours != theirs
    ]


def _plain(name: str) -> str:
    """Letters and figures alone: `Bge Small En v1.5` and `bge-small-en-v1.5` are one name."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
