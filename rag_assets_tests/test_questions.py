"""The sixty questions: as many in each language, every document there, and groups that part what they say."""

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from rag_assets_tests import questions
from rag_assets_tests.benchmarks import languages
from rag_assets_tests.benchmarks.__main__ import main
from rag_assets_tests.places import CORPUS
from rag_assets_tests.questions import Question

ASKED = questions.read()


def question(name: str, language: str, *documents: str, languages: tuple[str, ...]) -> Question:
    return Question(id=name, language=language, text=name, documents=documents, document_languages=languages)


def test_there_are_twenty_questions_in_each_language() -> None:
    """Sixty in all, each with an id and words of its own."""
    assert Counter(one.language for one in ASKED) == dict.fromkeys(questions.LANGUAGES, 20)
    assert len({one.id for one in ASKED}) == len({one.text.casefold() for one in ASKED}) == len(ASKED)


def test_each_document_of_a_question_has_its_language() -> None:
    """None is named twice, none is without a language of two letters."""
    for one in ASKED:
        assert len(set(one.documents)) == len(one.documents) == len(one.document_languages), one.id
        assert all(len(language) == 2 and language.islower() for language in one.document_languages), one.id


def test_each_language_is_asked_of_its_own_documents_and_of_others() -> None:
    """So that both can be told apart in each language."""
    parts = Counter((one.language, one.is_across) for one in ASKED)
    assert min(parts[name, across] for name in questions.LANGUAGES for across in (True, False)) >= 5


@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus is not there")
def test_documents_are_those_of_the_corpus() -> None:
    """Forty or more of them, in a dozen formats."""
    named = {document for one in ASKED for document in one.documents}
    assert not [document for document in named if not (CORPUS / document).is_file()]
    assert len(named) >= 40
    assert len({document.split("/")[0] for document in named}) >= 12


def test_groups_part_questions_by_their_language_and_by_that_of_the_answer() -> None:
    """One answer in the question's language is enough to be of the same; what is found first counts fully."""
    asked = [
        question("near", "de", "a", "b", languages=("ja", "de")),
        question("far", "de", "c", languages=("en",)),
        question("own", "en", "c", languages=("en",)),
    ]
    found = {"near": ["a", "b"], "far": ["x", "c"], "own": [*"1234567890", "c"]}
    told = languages.by_group(asked, found, mode="text")
    counted = {name: group["questions"] for name, group in told.items()}
    sizes = {"all": 3, "de": 2, "en": 1, "same": 2, "across": 1, "same de": 1, "across de": 1, "same en": 1}
    assert counted == sizes
    assert (told["same de"]["ndcg_at_10"], told["across de"]["mrr"]) == (1, 0.5)
    assert (told["same en"]["ndcg_at_10"], told["same en"]["recall_at_10"]) == (0, 0)  # it is the eleventh


@pytest.mark.parametrize(
    ("given", "said"), [("mine=nowhere.gguf", "has to be there"), ("all-MiniLM-L6-v2=a.gguf", "the same name")]
)
def test_model_file_that_cannot_be_measured_is_refused_before_anything_is(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not there, and one that would stand in the place of ours."""
    monkeypatch.chdir(tmp_path)
    Path("a.gguf").touch()
    refused = CliRunner().invoke(main, ["languages", "--model-file", given])
    assert refused.exit_code == 2
    assert said in " ".join(refused.output.split())
