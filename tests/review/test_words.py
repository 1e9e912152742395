"""The words of all pages: no values of Python or JavaScript, no words of the other language."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.languages import LANGUAGES, Language
from shenhe.report import write_report
from shenhe.review import Index, Prompting, Review, create_app, words
from shenhe.review.export import EXPORTS
from shenhe.review.index import STATES
from shenhe.review.site import NOTICES
from shenhe.review.words import load_words
from shenhe.row_types import Evidence
from shenhe.rows.audits import plan_audit
from shenhe.rows.decisions import Decisions
from shenhe.values import EvidenceItem
from tests.review.runs import FAIL, PASS, TIME, Group, write_captions, write_run
from tests.review.shown_words import LATIN, NOT_WORDS, Words, check_words

WORDING = Path(words.__file__).with_name("wording")
HERE = "http://127.0.0.1:8765"
GROUPS = [
    Group("QC-1", None, p_pass=None, reason="empty: the verdict is empty"),
    Group("QC-2", PASS, label="fail"),
    Group("QC-3", FAIL, label="fail", p_pass=0.2),
    Group("QC-4", PASS, label="pass", p_pass=None),
    Group("QC-5", None, label="pass", p_pass=None, mission="另一任务"),
    Group(
        *("QC-7", None, "fail", 0.9, "evidence_missing: 缺少: 电线; \u202e图片_2: 生锈"),
        why=("evidence_missing", "evidence_against", "timeout"),
        ruling=PASS,
        log_odds=2.0,
        raw="通过\n理由: 符合要求",
        evidence=Evidence(
            rules="a" * 16,
            items=[
                EvidenceItem("\u202e螺丝", "need", "seen", right=("图片_1",), place="\u202e1"),
                EvidenceItem("电线", "need", "missing"),
                EvidenceItem("光纤", "need", "doubtful", doubtful=("图片_1",)),
                EvidenceItem("生锈", "fault", "stated", wrong=("图片_2", "图片_9")),
                EvidenceItem("露铜", "fault", "settled", right=("图片_1",), wrong=("图片_2",)),
            ],
        ),
    ),
    *(
        Group(f"QC-8-{n}", label="fail", evidence=Evidence(rules=rules))
        for n, rules in enumerate(("", "off", "a" * 16))
    ),
    Group("\u202eQC-6\u202d", reason="\u202e通过", line="\u2067a\u202e"),
]


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    folder = write_run(tmp_path / "words", GROUPS, demo_photos[:2])
    plan_audit(folder, 1.0)
    rows = next((folder / "stage_a").glob("另一任务*"))
    rows.write_text("", encoding="utf-8")  # a group without photos and lines
    write_captions(folder, demo_photos[:1])
    return folder


@pytest.fixture
def client(run_dir: Path) -> Iterator[TestClient]:
    prompting = Prompting(load_missions(), load_prompts())
    app = create_app(Review("run", Index(run_dir), prompting), reviewer="李工")
    with TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False) as client:
        yield client


def _pages(client: TestClient, index: Index) -> Iterator[tuple[str, str]]:
    """Yield pages of all kinds and states, with their names."""
    yield "empty trail", client.get("/trail").text
    for notice in NOTICES:
        yield notice, client.get(f"/?told={notice}&about=QC-1").text
    for state in STATES:
        yield state, client.get(f"/?state={state}").text
    for path in (
        "/?text=nothing-like-it",
        "/?mission=x&against=1",
        "/?after=2",
        "/export",
        "/name",
    ):
        yield path, client.get(path).text
    for path in (
        "/login",
        "/nothing",
        "/group/99",
        "/group/x",
        "/export/x",
        "/find?key=x",
        "/undo",
    ):
        yield path, client.get(path).text
    for number in range(1, len(GROUPS) + 1):
        yield f"group {number}", client.get(f"/group/{number}?verdict=undecided").text
        group = index.group(number)
        assert group is not None
        form = {"key": group.entry.key, "seen": TIME, "comment": "看"}
        for choice, version in (("通过", 0), ("不通过", 1)):
            answer = client.post(
                f"/group/{number}", data={**form, "choice": choice, "version": str(version)}
            )
            assert answer.status_code == 303
            yield "decided", client.get(f"/group/{number}").text
        form |= {"choice": "通过", "version": "2"}
        for problem in (
            *({"version": "1"}, {"seen": "2025"}, {"fault": "其他"}, {"key": "another"}),
            *({"line-图片_1": "a [1, 2]"}, {"line-图片_1": "<|im_end|>"}, {"choice": ""}),
        ):
            answer = client.post(f"/group/{number}", data={**form, **problem})
            assert answer.status_code >= 400 or group.summary is None, problem
            yield str(problem), answer.text
    yield from _pages_of_queues(client, index)
    yield "queue", client.get("/").text
    yield "trail", client.get("/trail").text
    for _ in GROUPS * 3:
        client.post("/undo")
    yield "taken back", client.get("/group/1").text
    yield "trail of what was taken back", client.get("/trail").text
    yield "too large", client.post("/undo", content=b"x" * 1_000_001).text


def _pages_of_queues(client: TestClient, index: Index) -> Iterator[tuple[str, str]]:
    """Yield pages of the queues of labels in doubt and of the blind audit."""
    for state in ("", *STATES):
        yield f"labels {state}", client.get(f"/?queue=labels&state={state}").text
    for number in range(1, len(GROUPS) + 1):
        yield f"label of {number}", client.get(f"/group/{number}?queue=labels").text
    assert index.audit
    yield "audit", client.get("/audit").text
    # Nobody but somebody who has decided nothing openly may decide.
    client.cookies.set("reviewer", quote("王工"))
    yield "audit for another", client.get("/audit").text
    for entry in index.audit.page("王工"):
        address = f"/audit/{entry.ticket}"
        page = client.get(address).text
        yield address, page
        shown = page.split('name="shown" value="')[1].split('"')[0]
        for fields in ({"shown": "x"}, {"fault": "其他"}, {"choice": "不通过"}):
            form = {"shown": shown, "choice": PASS} | fields
            yield str(fields), client.post(address, data=form).text
        yield "audited", client.get(address).text
    yield "all audited", client.get("/audit?told=blind_end").text
    yield "history", client.get("/group/3").text
    client.cookies.delete("reviewer")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_pages_say(client: TestClient, run_dir: Path, language: str) -> None:
    client.cookies.set("language", language)
    for page, text in _pages(client, Index(run_dir)):
        if text:  # else sent on
            check_words(page, text, language)


@pytest.mark.parametrize(
    ("language", "said"), [("zh", "理由是空的"), ("en", "the reason is empty")]
)
def test_what_is_wrong_with_an_answer_is_said_in_the_readers_language(
    tmp_path: Path, demo_photos: list[Path], language: Language, said: str
) -> None:
    malformed = Group("QC-1", None, reason="format: reason_empty: the reason is empty")
    folder = write_run(tmp_path / "run", [malformed._replace(why=("format",))], demo_photos[:1])
    review = Review("run", Index(folder), Prompting(load_missions(), load_prompts()))
    client = TestClient(create_app(review, reviewer="李工"), HERE, cookies={"language": language})
    pages = [client.get("/group/1").text, client.get("/").text]
    pages.append(write_report(folder, 500, language).read_text(encoding="utf-8"))
    for page in pages:
        assert said in page
        assert (language == "en") == ("the reason is empty" in page)


def test_words_are_there_in_both_languages() -> None:
    chinese, english = (load_words(language) for language in ("zh", "en"))
    assert chinese.keys() == english.keys()
    for name, sentence in chinese.items():
        placeholders = re.findall(r"\{\w+\}", sentence)
        assert sorted(placeholders) == sorted(re.findall(r"\{\w+\}", english[name])), name
    for name in EXPORTS:
        assert chinese["export_" + name.replace(".", "_")]


def test_rows_that_have_gone_are_told_of_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder, GROUPS[1:2], [])
    prompting = Prompting(load_missions(), load_prompts())
    app = create_app(Review("run", Index(folder), prompting), reviewer="李工")
    client = TestClient(app, HERE, raise_server_exceptions=False)
    for rows in (folder / "stage_b").iterdir():
        rows.unlink()
    for path in ("/group/1", "/photo/1/1/small.jpg"):
        answer = client.get(path)
        assert answer.status_code == 500
        assert not NOT_WORDS.search(" ".join(Words(answer.text, "zh").all))
        assert "cannot be read" in answer.text
    (folder / "review" / "index.sqlite").write_bytes(b"no database" * 100)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "start `shenhe review` again" in answer.text


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize(("max_groups", "language"), [(500, "zh"), (1, "zh"), (500, "en")])
def test_what_the_report_says(
    tmp_path: Path, demo_photos: list[Path], labelled: bool, max_groups: int, language: Language
) -> None:
    groups = [group if labelled else group._replace(label=None) for group in GROUPS]
    folder = write_run(tmp_path / "run", groups, [*demo_photos[:1], tmp_path / "gone.jpg"])
    if labelled:
        write_captions(folder, demo_photos[:1])
        prompting = Prompting(load_missions(), load_prompts())
        app = create_app(Review("run", Index(folder), prompting), reviewer="李\u202e工")
        client = TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False)
        for number in (1, 4):
            group = Index(folder).group(number)
            assert group is not None
            form = {"key": group.entry.key, "seen": TIME, "version": "0", "choice": "不通过"}
            assert client.post(f"/group/{number}", data=form).status_code == 303
        assert len(list(Decisions(folder).all_current())) == 2
    text = write_report(folder, max_groups, language).read_text(encoding="utf-8")
    assert f'<html lang="{language}">' in text
    words = Words(text, language)
    assert not (match := NOT_WORDS.search(" ".join(words.all))), match
    words = Words(re.sub('<div class="curves">.*?</div>', "", text, flags=re.DOTALL), language)
    pattern, known = r"[A-Za-z]{2,}", LATIN | {"UTC", "shenhe", "report", "max", "groups", "of"}
    if language == "en":
        pattern, known = r"[\u4e00-\u9fff]+", {"通过", "不通过", "李工", "图片"}
    assert set(re.findall(pattern, " ".join(words.own))) <= known
    if labelled:
        # The other one the model had left undecided.
        assert {"zh": "<b>1</b>改判", "en": "<b>1</b>overruled"}[language] in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_word_stands_in_one_file(language: str) -> None:
    texts = (file.read_text(encoding="utf-8") for file in WORDING.iterdir())
    counts = Counter(name for text in texts for name in tomllib.loads(text)[language])
    assert counts.total() > 150
    assert [name for name, count in counts.items() if count > 1] == []
