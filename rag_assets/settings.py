"""One typed Settings: from the environment, `.env` and `settings.toml`, in that order of precedence."""

import json
import logging
import os
import re
import shutil
import stat
import sys
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableSetting

from rag_assets import model_sets, visible
from rag_assets.errors import AcceptableKind, SettingsError
from rag_assets.model_sets import ModelSet, Pooling

logger = logging.getLogger(__name__)

MODEL_POSITIONS = 512  # of all-MiniLM-L6-v2, with [CLS] and [SEP]
SPECIAL_TOKENS = 2
VARIABLE_PREFIX = "RAG_ASSETS_"  # of variables of the environment
# Variables of the environment that hold secrets, by who needs them; a section may be one variable, as JSON.
WORK_SECRETS = frozenset({"DATABASE_URL", "DAGSTER_DATABASE_URL", "RAG_ASSETS_LLAMA_SERVER__API_KEY"})
PAGE_SECRETS = frozenset({"RAG_ASSETS_WEB__TOKEN"})
SENSOR_SECRETS = frozenset({"RAG_ASSETS_NOTIFY__URL", "RAG_ASSETS_NOTIFY"})
USUAL_FILES = ("settings.toml", "config/settings.toml")
ENV_FILE = ".env"
ENV_ENCODING = "utf-8-sig"  # editors on Windows begin it with a mark
CALIBRATION_FILE = "calibration.json"  # below home
LAST_PORT = 65_535
TOO_DEEP = "nested too deeply: write it with fewer brackets in one another."

Quantization = Literal["f32", "f16", "q8_0"]
# The settings of [embedding] that a known model brings along.
OF_A_SET = (
    "dimension",
    "pooling",
    "longest",
    "query_prefix",
    "passage_prefix",
    "normalized",
    "whole_dimension",
)
Mode = Literal["hybrid", "vector", "text"]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
SCHEMES = ("file", "s3", "gs", "az", "abfs", "http", "https", "memory")  # of addresses of documents
CRON_RANGES = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
CRON_ENTRY = re.compile(r"(\*|\d+|[a-zA-Z]{3})(-(\d+|[a-zA-Z]{3}))?(/[1-9]\d*)?")

TAG_CHARACTER = "[A-Za-z0-9_.-]"  # a character of a tag in Dagster
TABLE_PART = re.compile(r'"(?:[^"]|"")+"|[^."][^.]*')  # as in SQL, but that capitals count without quotes too


def _cron(value: str) -> str:
    """Five fields of entries as cron knows them, each number in its range."""
    fields = value.split()
    if len(fields) != len(CRON_RANGES):
        raise ValueError(f"needed are five fields, {' '.join(CRON_RANGES)}, as in */15 * * * *")
    for field, (name, (least, most)) in zip(fields, CRON_RANGES.items(), strict=True):
        numbers = [int(number) for number in re.findall(r"(?<![/\d])\d+", field)]
        fits = all(CRON_ENTRY.fullmatch(entry) for entry in field.split(","))
        if not fits or any(not least <= number <= most for number in numbers):
            raise ValueError(f"{field} is no {name}: allowed are * and {least} to {most}, as in 1,3 or 1-5 or */2")
    return value


def _table(value: str) -> str:
    """A name or two, with a dot between them."""
    if not re.fullmatch(rf"({TABLE_PART.pattern})(\.({TABLE_PART.pattern}))?", value):
        raise ValueError('needed is table or schema.table; a name with a dot in it stands in quotes, as in app."a.b"')
    return value


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _with_commas(value: Any) -> Any:
    """A list as one string with commas, also where it is a list in JSON, as in variables; anything else as it is."""
    if isinstance(value, str) and value.strip().startswith("["):
        with suppress(ValueError):
            value = json.loads(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _read_key(file: Path, *, setting: str) -> str | None:
    try:
        require_file(file)
        return file.read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{setting}, {file}, cannot be read: {exc}") from exc


def _addresses(value: str | None) -> str | None:
    """Each with its scheme and a host: what is no address would be waited for, and never answer."""
    for one in (value or "").split(","):
        if one.strip() and not re.match(r"https?://[^/?#]", one.strip(), re.IGNORECASE):
            raise ValueError(
                f"{visible.address(one.strip())} is no address; allowed are http://HOST:PORT and https://HOST"
            )
    return value


def _scheme(value: str) -> str:
    """A scheme whose addresses mean the file that they name, and nothing else; or more of an address, up to a slash."""
    scheme, separator, rest = value.partition("://")
    host = r"[a-z0-9.-]+(:\d+)?(?<!:443)(?<!:80)" if scheme in ("http", "https") else r"[^/\s@%]+"
    if scheme not in SCHEMES or (separator and not re.fullmatch(host + r"/(\S*/)?", rest)):
        known = ", ".join(SCHEMES)
        said = f"allowed are {known}, and as in s3://bucket/folder/ or, in small letters, https://host.example.com/"
        raise ValueError(f"{value} begins no address that is read; {said}")
    return value


def _link(value: str | None) -> str | None:
    """An address in which {path} or {id} stands, behind the host: what a row names never decides where a link leads."""
    if value is not None and not re.fullmatch(r"https?://[^\s\"'<>{}/]+/([^\s\"'<>{}]|\{path\}|\{id\})*", value):
        raise ValueError(f"{value} is no address; allowed is https://HOST/... with {{path}} or {{id}} in it")
    if value is not None and "{" not in value:
        raise ValueError(f"{value} leads to one place for all documents; write {{path}} or {{id}} where they differ")
    return value


def _webhook(value: SecretStr) -> SecretStr:
    """An address that a notice can be sent to; what is wrong is said without it."""
    host = r"([\w.-]+|\[[\da-f:.]+\])"
    found = re.fullmatch(
        rf"https?://{host}(:(?P<port>\d{{1,5}}))?([/?][!-~]*)?", value.get_secret_value(), re.ASCII | re.I
    )
    if found is None or int(found["port"] or 1) > LAST_PORT:
        raise ValueError(
            "needed is https://HOST/... or http://HOST/..., without a user, a space or a letter beyond ASCII"
        )
    return value


def _owner(value: str) -> str:
    if not re.fullmatch(r"team:\S.*|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}", value):
        raise ValueError(f"{value} owns nothing in Dagster; allowed are team:NAME and an address of mail")
    return value


def _tags(tags: dict[str, str]) -> dict[str, str]:
    """Keys and values as Dagster takes them, which would otherwise load no definitions at all."""
    for key, value in tags.items():
        if not re.fullmatch(rf"({TAG_CHARACTER}{{1,63}}/)?{TAG_CHARACTER}{{1,63}}", key) or not re.fullmatch(
            rf"{TAG_CHARACTER}{{0,63}}", value
        ):
            raise ValueError(
                f"{key} = {value} is no tag; allowed are 63 letters, digits and _ . - of either, and one / in the key"
            )
    return tags


class Section(BaseModel):
    """A table of the file of settings: unknown keys are refused, values are checked and then fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Database(Section):
    """[database]: connections to the application's database."""

    pool_max_size: Annotated[int, Field(ge=1, le=100)] = 10
    listen_channel: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "document_changes"
    connect_timeout_seconds: Positive = 10


class Source(Section):
    """[source]: the application's table, and where its files are."""

    # May be schema-qualified: app.documents. A name with a dot in it stands in quotes: app."a.b".
    table: Annotated[str, AfterValidator(_table)] = "TblDocumentFiles"
    id_column: Annotated[str, Field(min_length=1)] = "id"
    path_column: Annotated[str, Field(min_length=1)] = "file_path"
    ignored_columns: tuple[str, ...] = ()  # a change in these alone does not count: counters, access times
    # Where people open a document, as "https://files.example.com/{path}" or ".../{id}"; unset: its path is no link.
    url: Annotated[str | None, AfterValidator(_link)] = None
    # So many documents that lose their row at once, and such a share of the index, are deleted when that is confirmed.
    mass_deletion_number: Positive = 10
    mass_deletion_share: Annotated[float, Field(ge=0, le=1)] = 0.5  # 1: never held
    allowed_roots: tuple[Path, ...] = ()  # besides DOCUMENT_ROOT_PATH
    # Addresses instead of paths that may be read: a scheme, or more of their beginning, up to a slash.
    schemes: tuple[Annotated[str, AfterValidator(_scheme)], ...] = ()
    path_map: dict[str, Path] = {}  # prefix in the table -> local folder: {"D:\\Docs": "/srv/docs"}

    @property
    def table_parts(self) -> tuple[str, ...]:
        """The table's name, after its schema's if one is given, without quotes."""
        return tuple(_unquoted(part) for part in TABLE_PART.findall(self.table))


class Parsing(Section):
    """Limits of one document; each is checked against what is really there, not only what is declared."""

    max_bytes: Positive = 64 * 2**20
    max_pages: Positive = 5_000
    max_characters: Positive = 10_000_000
    max_seconds: Seconds = 60
    max_memory_mb: Annotated[int, Field(ge=256)] = 1_024
    max_zip_entries: Positive = 10_000
    max_zip_bytes: Positive = 512 * 2**20  # unpacked, all entries together
    max_zip_ratio: Positive = 200  # unpacked / packed, for entries over 1 MiB
    unchanged: Literal["stat", "sha256"] = "sha256"  # what is enough to call a file unchanged
    documents_per_worker: Positive = 5_000  # then the child process is replaced


class Chunking(Section):
    """[chunking]: how texts are cut."""

    # Tokens of the embedding model, special tokens included.
    size: Annotated[int, Field(ge=16, description="16 to the model's limit, 512 of the embedded one")] = 512
    # Tokens that neighbours share at most; half of size is never exceeded.
    overlap: Annotated[int, Field(ge=0, description="0 to below size")] = 50
    strategy: Literal["semantic", "fixed", "recursive"] = "recursive"
    heading_context: bool = False  # embed the heading path before the chunk's own words

    @property
    def words(self) -> str:
        """The settings of chunking in a few words, for messages."""
        shared = f", of which neighbours share up to {self.overlap}" if self.overlap else ""
        headings = "; embedded with the headings above" if self.heading_context else ""
        return f"{self.strategy}, {self.size} tokens at most{shared}{headings}"

    @model_validator(mode="after")
    def _overlap_is_below_size(self) -> "Chunking":
        if self.overlap >= self.size:
            raise ValueError(f"overlap is {self.overlap}; allowed is 0 to {self.size - 1}, which is below size")
        return self


class Embedding(Section):
    """[embedding]: which model makes vectors, and what runs it."""

    # The name stored with each vector. Of a model that is known by name (`rag-assets model known`), what follows need
    # not be set, but for batch_size, engine and quantization. NAME@256 has the first 256 numbers of each vector, of a
    # model that is made for that.
    model: str = "all-MiniLM-L6-v2"
    dimension: Annotated[int, Field(ge=1, le=16_000)] = 384
    pooling: Pooling = "mean"  # how the vectors of tokens become one
    longest: Annotated[int | None, Field(ge=16)] = None  # tokens of one text that the model takes
    query_prefix: str = ""  # what each question begins with
    passage_prefix: str = ""  # what each chunk begins with
    normalized: bool = True  # whether the engine gives vectors of length 1; else they are brought to it
    whole_dimension: Annotated[int | None, Field(ge=1, le=16_000)] = None  # as given, where `dimension` of it are kept
    batch_size: Annotated[int, Field(ge=1, le=2_048)] = 32  # texts per request
    # What runs the embedded model: OpenVINO, llama.cpp, or auto: OpenVINO where it is installed and its vectors are
    # right, else llama.cpp. LLAMA_SERVER_BINARY, LLAMA_SERVER_MODEL and llama_server.url come first.
    engine: Literal["auto", "openvino", "llama.cpp"] = "auto"
    quantization: Quantization = "q8_0"  # of the embedded model, with llama.cpp

    @model_validator(mode="before")
    @classmethod
    def _known_by_name(cls, given: Any) -> Any:
        """What is known of the model, under what is set by hand."""
        found = model_sets.known(str(given["model"])) if isinstance(given, dict) and "model" in given else None
        return given if found is None else {name: getattr(found, name) for name in OF_A_SET} | given

    @model_validator(mode="after")
    def _is_cut_to_less(self) -> "Embedding":
        if self.whole_dimension is not None and self.whole_dimension < self.dimension:
            raise ValueError(
                f"whole_dimension is {self.whole_dimension}; allowed is {self.dimension}, dimension, and up"
            )
        return self

    @property
    def of_model(self) -> ModelSet:
        """The model as a set."""
        found = model_sets.known(self.model)
        return ModelSet(
            name=self.model,
            centred=found is not None and found.centred,
            dimensions=found.dimensions if found is not None else (),
            **{name: getattr(self, name) for name in OF_A_SET},
        )


class Worker(Section):
    """[worker]: how many documents a run takes, how long it may, and what is kept of it."""

    bulk_batch_size: Annotated[int, Field(ge=1, le=1_000)] = 10  # documents read ahead and committed together
    processing_timeout_seconds: Seconds = 300  # neither reading a document nor a request for its vectors takes longer
    documents_per_run: Annotated[int, Field(ge=1, le=100_000)] = 500
    parallel_runs: Annotated[int, Field(ge=1, le=32)] = 1  # at once, each with its text workers and embedding engine
    partitioning: Literal["document", "bucket"] = "document"  # of Dagster's assets; bucket: above 100,000 documents
    buckets: Annotated[int, Field(ge=1, le=100_000)] = 1_024  # never to be changed while in use
    previews: bool = True  # Dagster's page shows the beginning of each document and of its first chunks
    max_attempts: Annotated[int, Field(ge=1)] = 5
    accept: tuple[AcceptableKind, ...] = ()  # kinds of errors with which a document may fail: see `rag-assets accept`
    retry_base_seconds: Seconds = 30
    retry_max_seconds: Seconds = 3_600
    claim_seconds: Seconds = 900
    linger_seconds: Annotated[float, Field(ge=0)] = 15  # a run of the sensor stays so long for further changes
    reconcile_cron: Annotated[str, AfterValidator(_cron)] = "*/15 * * * *"  # when table, files and index are compared
    log_days: Positive = 90  # attempts in rag_ingestion_log older than this go, but for each document's last
    poll_seconds: Annotated[float, Field(gt=0, le=50)] = 45  # how long a look at the outbox waits for a notice
    # What machines with the same settings are together: who of them comes first with changed ones has these hold.
    installation: Annotated[str, Field(min_length=1)] | None = None  # unset: each is one of its own, host and home

    @property
    def shows_previews(self) -> bool:
        """Whether documents are shown; a bucket of them only counts its own."""
        return self.previews and self.partitioning == "document"


class LlamaServer(Section):
    """[llama_server]: the engine, started here or running elsewhere."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0  # 0: any free port
    # Set: use this running server of the model, start none; or several, in a list or with commas between them.
    url: Annotated[str | None, BeforeValidator(_with_commas), AfterValidator(_addresses)] = None
    api_key: SecretStr | None = None  # for url
    api_key_file: Path | None = None  # the same, in a file
    model: str | None = None  # the model's name at url, where that is not embedding.model
    startup_timeout_seconds: Seconds = 60
    request_timeout_seconds: Seconds = 300
    embedding_only: bool = True
    ctx_size: Annotated[int, Field(ge=64)] = 2_048  # tokens, over all slots
    threads: Annotated[int, Field(ge=0)] = 0  # 0: physical cores
    parallel: Annotated[int, Field(ge=0)] = 0  # slots; 0: as many longest chunks as ctx_size holds
    ubatch_size: Annotated[int, Field(ge=0)] = (
        0  # tokens computed at once; 0: 512, or the longest chunk if that is more
    )
    requests_in_flight: Annotated[int, Field(ge=1, le=64)] = 3
    own_defaults: bool = False  # leave what is 0 above to llama-server, and its ctx_size
    required_memory_gb: Annotated[float, Field(ge=0)] = 2

    @property
    def urls(self) -> tuple[str, ...]:
        """Each of `url`; without what people who know OpenAI's interface write at the end."""
        each = [one.strip().rstrip("/").removesuffix("/v1") for one in (self.url or "").split(",")]
        return tuple(dict.fromkeys(one for one in each if one))

    def read_api_key(self) -> str | None:
        """The key for `url`; SettingsError where its file cannot be read."""
        if self.api_key_file is None:
            return self.api_key.get_secret_value() if self.api_key else None
        return _read_key(self.api_key_file, setting="llama_server.api_key_file")


class Search(Section):
    """[search]: how documents are found."""

    mode: Mode = "hybrid"  # by meaning and words, by meaning alone, by words alone
    # convex: scores of both, each as a share of its best; rrf: ranks of both, whatever the scores.
    fusion: Literal["convex", "rrf"] = "convex"
    vector_weight: Annotated[float, Field(ge=0, le=1)] = 0.8  # of the vectors; the words have the rest
    candidates: Annotated[int, Field(ge=10, le=10_000)] = 200  # of each, that are put together
    # Without a question; then the search service stops its embedding server.
    idle_seconds: Annotated[float, Field(ge=1, description="at least 1")] = 300
    # ISO 639-1, as in "id", of all documents; unset: each document's own, as it is detected.
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    # Of vectors: auto, it is built, built anew and dropped by itself under `rag-assets up`; manual, by command alone.
    index: Literal["auto", "manual"] = "auto"
    # There is one from so many vectors on. Comparing all takes 2 ms for 1,000 of 384 dimensions on two cores, so about
    # 50 ms here, and finds all of the nearest; HNSW is 3 to 9 times as fast here, and finds 99 %. Measured elsewhere by
    # python -m rag_assets_tests.benchmarks search_speed --chunks 25000 ("vector" beside "pgvector, exact")
    index_rows: Positive = 25_000


class Rerank(Section):
    """What was found, sorted anew by a model that reads question and passage together; off while neither is set."""

    url: str | None = None  # of a running llama-server with --rerank, or another server with /v1/rerank
    model: Path | None = None  # or a GGUF file of a reranker, for which a llama-server is started
    api_key_file: Path | None = None  # the key for url
    top_n: Annotated[int, Field(ge=2, le=1_000)] = 30  # passages that it reads for each question
    timeout_seconds: Seconds = 10  # without its answer by then, what was found stays as it was sorted

    @model_validator(mode="after")
    def _names_one(self) -> "Rerank":
        if self.url and self.model:
            raise ValueError("rerank.url names a running server, and rerank.model a file to start one: set one of them")
        return self

    @property
    def is_on(self) -> bool:
        """Whether found passages are sorted anew: a file or an address of a reranker is set."""
        return bool(self.url or self.model)

    def read_api_key(self) -> str | None:
        """The key for `url`; SettingsError where its file cannot be read."""
        return _read_key(self.api_key_file, setting="rerank.api_key_file") if self.api_key_file else None


class Dagster(Section):
    """What Dagster calls the index, and what its catalogue says of all assets, besides what they are."""

    # Stands before the names of assets, jobs, sensors, partitions and pool, where several indexes are in one instance.
    name: Annotated[str, Field(max_length=40, pattern=r"^([a-z][a-z0-9_]*)?$", description="a-z, 0-9 and _")] = ""
    owners: tuple[Annotated[str, AfterValidator(_owner)], ...] = ()  # "team:NAME" or an address of mail
    tags: Annotated[dict[str, str], AfterValidator(_tags)] = {}  # to filter by, as {domain = "search"}
    # Runs that ended longer ago than this go, but for those that Dagster's pages still show something of; 0: none.
    history_days: Annotated[float, Field(ge=0)] = 180

    def named(self, what: str) -> str:
        """What Dagster calls this: `letters_chunks` of an index named letters, `chunks` of one without a name."""
        return f"{self.name}_{what}" if self.name else what


class Web(Section):
    """[web]: Dagster's page under `rag-assets up`."""

    # What people log in with, and programs send as a bearer token; needed where --host is not this machine alone.
    token: Annotated[SecretStr, Field(min_length=16, description="at least 16 characters")] | None = None
    allowed_hosts: tuple[str, ...] = ()  # names besides localhost under which it is asked, as of a reverse proxy
    read_only: bool = False  # nobody launches, deletes or changes anything through the page


class Service(Section):
    """The search service: `rag-assets serve`, and a part of `rag-assets up`."""

    enabled: bool = True  # under `rag-assets up`
    host: str = "127.0.0.1"  # addresses that other machines reach need a keys_file
    port: Annotated[int, Field(ge=0, le=65_535)] = 8_000  # another free one where it is taken; 0: any
    keys_file: Path | None = None  # TOML, see docs/service.md; unset: who reaches it on this machine may ask
    allowed_hosts: tuple[str, ...] = ()  # names besides localhost under which it is asked, as of a reverse proxy
    # Of Dagster's page as people reach it, for links to it; under `rag-assets up`, it is known without.
    dagster_url: (
        Annotated[str, Field(pattern=r"^https?://[^\s\"'<>]+$", description="a URL with http or https")] | None
    ) = None
    max_requests: Annotated[int, Field(ge=2, le=1_000)] = 32  # at once; more are told to come back
    request_seconds: Annotated[float, Field(ge=1, le=600)] = 30  # in which a request is answered


class Notify(Section):
    """[notify]: a webhook that is told of runs that failed, and of a backlog."""

    # It gets JSON by POST. Who knows it can write there: it is a secret, and never shown. Unset: nobody is told.
    url: Annotated[SecretStr, AfterValidator(_webhook)] | None = None
    # In which it has to answer; less than the minute that Dagster gives a look of a sensor.
    timeout_seconds: Annotated[float, Field(ge=0.1, le=30)] = 10
    backlog_seconds: Seconds = 3_600  # what is pending for longer is a backlog
    pause_seconds: Annotated[float, Field(ge=0)] = (
        300  # between notices of failed runs; one tells of all since the last
    )


class Settings(BaseSettings):
    """Everything that can be configured.

    Environment names: those of the original system where it had one (DATABASE_URL, DOCUMENT_ROOT_PATH,
    LLAMA_SERVER_BINARY, LLAMA_SERVER_MODEL, LOG_FORMAT), else RAG_ASSETS_<SECTION>__<KEY>, as in
    RAG_ASSETS_CHUNKING__SIZE=256.
    """

    model_config = SettingsConfigDict(
        env_prefix=VARIABLE_PREFIX,
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        env_file_encoding=ENV_ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # it may be a secret, and a traceback shows pydantic's own message, too
    )

    home: Path = Field(default_factory=lambda: _default_home())  # all state; RAG_ASSETS_HOME
    database_url: SecretStr | None = Field(None, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    dagster_database_url: SecretStr | None = Field(
        None, validation_alias=AliasChoices("DAGSTER_DATABASE_URL", "dagster_database_url")
    )
    document_root_path: Path | None = Field(
        None, validation_alias=AliasChoices("DOCUMENT_ROOT_PATH", "document_root_path")
    )
    llama_server_binary: Path | None = Field(
        None, validation_alias=AliasChoices("LLAMA_SERVER_BINARY", "llama_server_binary")
    )
    llama_server_model: Path | None = Field(
        None, validation_alias=AliasChoices("LLAMA_SERVER_MODEL", "llama_server_model")
    )
    log_format: Literal["pretty", "json"] = Field("pretty", validation_alias=AliasChoices("LOG_FORMAT", "log_format"))
    database: Database = Database()
    source: Source = Source()
    parsing: Parsing = Parsing()
    chunking: Chunking = Chunking()
    embedding: Embedding = Embedding()
    worker: Worker = Worker()
    llama_server: LlamaServer = LlamaServer()
    search: Search = Search()
    rerank: Rerank = Rerank()
    dagster: Dagster = Dagster()
    web: Web = Web()
    service: Service = Service()
    notify: Notify = Notify()

    @model_validator(mode="after")
    def _chunks_fit_the_model(self) -> "Settings":
        largest = MODEL_POSITIONS if self.llama_server_model is None and self.llama_server.url is None else 8_192
        if self.chunking.size > largest:
            raise ValueError(f"chunking.size is {self.chunking.size}; allowed is 16 to {largest}, the model's limit")
        return self

    @property
    def cutting(self) -> Chunking:
        """[chunking] for the model that embeds: no chunk is longer than it takes, with what each begins with."""
        model = self.embedding.of_model
        largest = (model.longest or self.chunking.size + model.room) - model.room
        size = min(self.chunking.size, largest)
        overlap = min(self.chunking.overlap, size - 1)
        return self.chunking.model_copy(update={"size": size, "overlap": overlap})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Asked for by pydantic-settings: where values come from, the first one wins.

        Arguments, the environment, .env, the file of settings, and then what `rag-assets doctor --calibrate` kept.
        """
        toml = InitSettingsSource(settings_cls, init_kwargs=_from_file())
        return init_settings, env_settings, dotenv_settings, toml, _Kept(settings_cls), _Calibrated(settings_cls)


class SettingsByHand(Settings):
    """The same without what a calibration found for llama-server."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The same sources without what was kept for llama-server."""
        sources = super().settings_customise_sources(
            settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        )
        return tuple(source for source in sources if not isinstance(source, _Calibrated))


class _Kept(PydanticBaseSettingsSource):
    """What `rag-assets doctor --calibrate` kept in the home: under everything that was set by hand."""

    section = "embedding"

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False  # asked for by the base class; all of them come at once, below

    def __call__(self) -> dict[str, Any]:
        home = Path(self.current_state.get("home") or _default_home()).expanduser()
        binary = self.current_state.get("llama_server_binary") or self.current_state.get("LLAMA_SERVER_BINARY")
        return {self.section: calibrated(home, binary=binary).get(self.section, {})}


class _Calibrated(_Kept):
    section = "llama_server"


def calibrated(home: Path, *, binary: Path | str | None) -> dict[str, dict[str, Any]]:
    """What the home's calibration says: of llama_server, if made here and with this binary, and of embedding."""
    try:
        require_file(home / CALIBRATION_FILE)
        kept = json.loads((home / CALIBRATION_FILE).read_text(encoding="utf-8"))
        # Another quantization gives other vectors: that choice stays, also on another machine.
        lasting = {"embedding": {"quantization": kept["quantization"]}}
        if kept["machine"] != machine(binary):
            return lasting
        chosen = {**lasting["embedding"], "engine": kept.get("engine", "auto")}
        return {"embedding": chosen, "llama_server": dict(kept["llama_server"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}  # none, or not ours: it only saves time


def machine(binary: Path | str | None) -> dict[str, Any]:
    """For what a calibration holds; another llama-server or another number of cores makes it void."""
    return {"cores": os.cpu_count(), "llama_server": str(binary or shutil.which("llama-server") or "embedded")}


_given: dict[str, Any] = {}  # of this process; see give
OTHER_INDEX = (
    "This code location has the index of another RagIndex, or of rag_assets.definitions, with other settings: make a "
    "project of its own for the second one (see docs/dagster.md)."
)


def give(values: dict[str, Any]) -> None:
    """Have each `load` of this process take these values, before what the environment and files say.

    SettingsError where others were given: what Dagster loads has the settings of one index in each process.
    """
    if _given and _given != values:
        raise SettingsError(OTHER_INDEX)
    _given.update(values)


def load(**overrides: Any) -> Settings:
    """Read the settings; every wrong value is named with its key and what is allowed."""
    return _loaded(Settings, {**_given, **overrides})


def load_by_hand(**overrides: Any) -> Settings:
    """The same, without what a calibration found for llama-server: what another one starts from."""
    return _loaded(SettingsByHand, {**_given, **overrides})


def _loaded(kind: type[Settings], overrides: dict[str, Any]) -> Settings:
    _refuse_unknown_variables()
    try:
        settings = kind(**overrides)
    except ValidationError as exc:
        raise SettingsError(described(exc)) from exc
    except UnreadableSetting as exc:
        raise SettingsError(f'{exc}: lists and tables are given as JSON, as in ["a"] or {{"a": "b"}}') from exc
    except RecursionError as exc:
        raise SettingsError(f"A value in the environment or {ENV_FILE} is {TOO_DEEP}") from exc
    _require_trusted(settings.home.expanduser(), instead="Set RAG_ASSETS_HOME to another folder")
    return settings.model_copy(update={"home": settings.home.expanduser().resolve(), **_in_time(settings)})


def _in_time(settings: Settings) -> dict[str, Section]:
    """The sections whose own limits of time are above that of a whole document, with that one."""
    longest = settings.worker.processing_timeout_seconds
    parsing, server = settings.parsing, settings.llama_server
    seconds = min(parsing.max_seconds, longest)
    request_seconds = min(server.request_timeout_seconds, longest)
    return {
        "parsing": parsing.model_copy(update={"max_seconds": seconds}),
        "llama_server": server.model_copy(update={"request_timeout_seconds": request_seconds}),
    }


@cache
def project_root() -> Path:
    """The folder of sql/, workspace.yaml and dagster.yaml: the clone, or the copy a wheel carries."""
    package = Path(__file__).parent
    clone = package.parent
    return clone if (clone / "workspace.yaml").is_file() else package / "project"


def _default_home() -> Path:
    root = project_root()
    return (root if root != Path(__file__).parent / "project" else Path.cwd()) / ".rag_assets"


def distrust(found: Path, *, writers: int = stat.S_IWOTH) -> tuple[str, str] | None:
    """Why another account could have written a file or folder, and the command that mends it; None: it could not have.

    Trusted are our own account, root, and who could change this very package anyway. Of a link it has to be so, too:
    files of root can hold what others wrote, as /proc/PID/environ does of a program that they started. `writers` are
    the bits of the mode that nobody else may have; where nothing is, or nothing can be seen, nothing is to be read.
    """
    if sys.platform == "win32":
        return None
    try:
        facts, link = found.stat(), found.lstat()
    except OSError:
        return None
    package = Path(__file__).stat()
    anyway = package.st_mode if facts.st_gid == package.st_gid else package.st_mode & stat.S_IWOTH
    if facts.st_mode & ~anyway & writers:
        others, bits = ("others", "go-w") if writers & stat.S_IWGRP else ("everybody", "o-w")
        return f"may be written by {others}", f"chmod {bits}"
    if not {facts.st_uid, link.st_uid} <= {os.geteuid(), 0, package.st_uid}:
        return "belongs to another account", "chown"
    return None


def _require_trusted(found: Path, *, instead: str) -> None:
    """SettingsError where another account could have written a file of settings, or the home, of this process.

    They name programs that are started, as LLAMA_SERVER_BINARY, or hold the database that is believed: in a folder such
    as /tmp, anybody may have left one, and one that is named may have been prepared by whoever it belongs to.
    """
    if why := distrust(found):
        what, command = why
        mended = "owner" if command == "chown" else "permissions"
        raise SettingsError(
            f"{found.absolute()} {what}, and is not used, as it decides which programs are run and which data is "
            f"believed. {instead}; or if it is yours, correct its {mended} ({command})."
        )


def require_file(file: Path) -> None:
    """OSError where there is no file: a FIFO would be waited for, and a device may never end."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError("it is a folder, pipe or device: move it away, or put a file in its place")


def _from_file() -> dict[str, Any]:
    """What settings.toml says; a name at its top that means nothing would otherwise be passed over in silence."""
    named = os.environ.get("RAG_ASSETS_SETTINGS")
    file = Path(named) if named else _usual_file()
    try:
        if not file.exists():
            if named:
                raise SettingsError(f"RAG_ASSETS_SETTINGS names {named}, where there is no file; correct or unset it.")
            return {}
        require_file(file)
        instead = "Name another file in RAG_ASSETS_SETTINGS" if named else "Go to another folder"
        for part in (file,) if named else (file, *file.parents[:-1]):  # of config/settings.toml, the folder as well
            _require_trusted(part, instead=instead)
        found = tomllib.loads(file.read_text(encoding="utf-8-sig"))  # editors on Windows begin it with a mark
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{file} cannot be read as TOML in UTF-8: {exc}") from exc
    except RecursionError as exc:
        raise SettingsError(f"{file} cannot be read as TOML in UTF-8: a value is {TOO_DEEP}") from exc
    if unknown := found.keys() - _names():
        raise SettingsError(f"{file}: there is no setting or section {_list(unknown)}. There are {_list(_names())}")
    return found


def _usual_file() -> Path:
    """settings.toml, or where there is none, config/settings.toml, where the original system has it."""
    first, second = map(Path, USUAL_FILES)
    if first.exists() and second.exists():
        _log_once(f"{second} is not read, as there is {first}: keep one of them, or name one in RAG_ASSETS_SETTINGS.")
    return second if second.exists() and not first.exists() else first


@cache
def _log_once(message: str) -> None:
    logger.warning(message)


def _refuse_unknown_variables() -> None:
    """A section that is misspelt in the environment or .env would be passed over in silence; a misspelt key is not."""
    file = Path(ENV_FILE)
    try:
        if file.exists():
            require_file(file)
            _require_trusted(file, instead="Go to another folder")
        in_file = dotenv_values(ENV_FILE, encoding=ENV_ENCODING)
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{ENV_FILE} cannot be read in UTF-8: {exc}") from exc
    for variable in (*os.environ, *in_file):
        name = variable.lower().removeprefix(VARIABLE_PREFIX.lower())
        section, is_nested, _ = name.partition("__")
        if name != variable.lower() and is_nested and section not in Settings.model_fields:
            raise SettingsError(f"{variable}: there is no section {section}. There are {_list(_sections())}")


def _names() -> set[str]:
    """The names of sections and settings that may stand at the top level of settings.toml."""
    aliases = {
        str(field.validation_alias.choices[0])
        for field in Settings.model_fields.values()
        if isinstance(field.validation_alias, AliasChoices)
    }
    return set(Settings.model_fields) | aliases


def _sections() -> set[str]:
    return {name for name, field in Settings.model_fields.items() if isinstance(field.default, Section)}


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def described(exc: ValidationError, *, mark: str = "Setting ") -> str:
    """A line for each wrong value: its key behind `mark`, the value, unless that is secret, and what is allowed."""
    return "\n".join(_describe(error, mark) for error in exc.errors())


def _describe(error: Any, mark: str) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        section = Settings.model_fields[error["loc"][0]].default
        return f"{mark}{key}: there is no such setting. There are {_list(type(section).model_fields)}"
    value = error.get("input")
    if error["loc"][-1:] == ("url",):
        value = visible.address(str(_with_commas(value)))
    shown = "" if isinstance(value, dict | Settings | Section) or _is_secret(error["loc"]) else f" (is {value!r})"
    named = f"{mark}{key}{shown}: " if key else ""  # a rule between sections names both itself
    return named + str(error["msg"]).removeprefix("Value error, ") + _allowed(error["loc"])


def _is_secret(loc: tuple[str, ...]) -> bool:
    """Whether a setting's value is a password, a token or a URL that may hold one."""
    field = Settings.model_fields.get(str(loc[0]).lower()) if loc else None  # or the variable's name
    if field is not None and len(loc) > 1 and isinstance(field.default, Section):
        field = type(field.default).model_fields.get(loc[1])
    return field is not None and "SecretStr" in str(field.annotation)


def _allowed(loc: tuple[str, ...]) -> str:
    """`; allowed is 0 to 100` for a number with two bounds: pydantic's message names only the one that was violated."""
    section = Settings.model_fields.get(loc[0]) if loc else None
    field = type(section.default).model_fields.get(loc[1]) if section and len(loc) > 1 else None
    if field is None:
        return ""
    bounds = {name: getattr(each, name) for each in field.metadata for name in ("ge", "le") if hasattr(each, name)}
    known = f"{bounds['ge']} to {bounds['le']}" if len(bounds) == 2 else field.description
    return f"; allowed is {known}" if known else ""
