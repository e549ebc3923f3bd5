"""The right document comes first: nine questions, written before their answers were looked at."""

from pathlib import Path

import pytest

from rag_assets import operations, settings
from rag_assets.services import Services
from rag_assets_tests.e2e.conftest import command

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
SAME = {"pdf/attachment.pdf": "pdf/crazyones.pdf"}  # word for word
LARGEST_BYTES = 20_000  # of the documents that only stand in the way
QUESTIONS = {
    "Who are the misfits and rebels that change the world?": "pdf/crazyones.pdf",
    "What is the Zen of Python?": "txt/pep-0020.rst.txt",
    "How should a docstring be written?": "txt/pep-0257.latin1.txt",
    "How do I configure an SSL certificate in Apache httpd?": "html/httpd_mod_ssl.en.html",
    "a diary of the siege of Vicksburg": "pdf/Seige_of_Vicksburg_Sample_OCR.pdf",
    "firearm background checks by state": "pdf/nics-background-checks-2015-11.pdf",
    "What is ownership in Rust and what happens when a value is moved?": "docx/rust_chapter04.docx",
    "closures that capture their environment, and iterators": "docx/rust_chapter13.docx",
    "retrieval augmented generation with LangChain": "ipynb/rag_langchain.ipynb",
}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus is not there")
def test_right_document_comes_first_when_asked_nine_questions(
    environment: dict[str, str], home: Path, database_url: str, model_path: Path
) -> None:
    """Each question's document is the first hit among the corpus's documents."""
    environment = {**environment, "DATABASE_URL": database_url, "LLAMA_SERVER_MODEL": str(model_path)}
    wanted = {CORPUS / name for name in QUESTIONS.values()}
    others = {file for file in CORPUS.glob("*/*") if file.stat().st_size < LARGEST_BYTES}
    command("register", *map(str, sorted(wanted | others)), environment=environment)
    command("ingest", environment=environment, succeeds=False)  # the corpus has documents that must fail
    server = {"required_memory_gb": 0.5, "threads": 1}  # as in the environment
    chosen = settings.load(home=home, database_url=database_url, llama_server_model=model_path, llama_server=server)
    with Services(chosen) as services:  # one server embeds all questions
        paths = {q: Path(str(operations.search(services, q, k=1)[0].path)) for q in QUESTIONS}
    found = {q: path.relative_to(CORPUS).as_posix() for q, path in paths.items()}
    assert {q: SAME.get(name, name) for q, name in found.items()} == QUESTIONS
